"""Buildah as a program: how it is called, what it falls back to, and when it is tidied up."""

import os
from pathlib import Path

import pytest

from fakes.engine_programs import EngineProgram
from towpath.build.engines.buildah import UPKEEP_BUILDS, Buildah
from towpath.build.engines.engine import DockerfileBuild, EngineFailedError
from towpath.build.engines.versions import buildah_capabilities
from towpath.oci.platform import Platform


@pytest.fixture
def program(tmp_path: Path) -> EngineProgram:
    return EngineProgram(tmp_path, "buildah")


@pytest.fixture
def engine(tmp_path: Path, program: EngineProgram) -> Buildah:
    return Buildah(
        program.path,
        version="1.28.2",
        capabilities=buildah_capabilities((1, 28)),
        store=tmp_path / "store",
        environ={
            name: value for name, value in os.environ.items() if name not in {"BUILDAH_ISOLATION", "STORAGE_DRIVER"}
        },
        timeout_seconds=600.0,
    )


def asked(tmp_path: Path) -> DockerfileBuild:
    context = tmp_path / "context"
    context.mkdir(exist_ok=True)
    return DockerfileBuild(context, "Dockerfile", Platform("linux", "amd64"), 7)


async def test_it_builds_and_then_pushes_by_the_images_id(
    engine: Buildah, program: EngineProgram, tmp_path: Path
) -> None:
    await engine.build(asked(tmp_path), tmp_path / "layout", lambda _line: None)
    build, push = program.calls
    assert f"--iidfile={tmp_path / 'layout.iid'}" in build
    assert push[-2:] == ["sha256:1234", f"oci:{tmp_path / 'layout'}:image"]


async def test_a_machine_that_starts_no_container_is_remembered(
    engine: Buildah, program: EngineProgram, tmp_path: Path
) -> None:
    program.answer({"--isolation=oci": (125, "error running container: creating container for [x]: cgroups")})
    lines: list[str] = []
    await engine.build(asked(tmp_path), tmp_path / "layout", lines.append)
    assert any("overlay with oci isolation does not work here; trying overlay with chroot" in line for line in lines)
    await engine.build(asked(tmp_path), tmp_path / "layout", lines.append)
    tried = [argument for call in program.calls for argument in call if argument.startswith("--isolation")]
    assert tried == ["--isolation=oci", "--isolation=chroot", "--isolation=chroot"]


async def test_a_step_that_fails_is_an_error_with_its_last_words(
    engine: Buildah, program: EngineProgram, tmp_path: Path
) -> None:
    program.answer({"build": (2, "STEP 3/3: RUN make\nmake: no rule\nexit status 2")})
    with pytest.raises(EngineFailedError) as caught:
        await engine.build(asked(tmp_path), tmp_path / "layout", lambda _line: None)
    assert "Dockerfile could not be built (EngineFailed): buildah 1.28.2 ended with 2" in caught.value.message
    assert "make: no rule" in caught.value.message
    assert len(program.calls) == 1


async def test_a_user_without_a_range_of_ids_is_told_how_to_get_one(
    engine: Buildah, program: EngineProgram, tmp_path: Path
) -> None:
    program.answer({"build": (1, "error setting supplemental groups list: operation not permitted")})
    with pytest.raises(EngineFailedError) as caught:
        await engine.build(asked(tmp_path), tmp_path / "layout", lambda _line: None)
    assert "--add-subuids" in caught.value.hint


async def test_an_export_that_fails_is_an_error(engine: Buildah, program: EngineProgram, tmp_path: Path) -> None:
    program.answer({"push": (1, "no space left on device")})
    with pytest.raises(EngineFailedError, match="no space left"):
        await engine.build(asked(tmp_path), tmp_path / "layout", lambda _line: None)


async def test_it_is_tidied_up_from_time_to_time(engine: Buildah, program: EngineProgram, tmp_path: Path) -> None:
    for _ in range(UPKEEP_BUILDS):
        assert not any("--prune" in call for call in program.calls)
        await engine.build(asked(tmp_path), tmp_path / "layout", lambda _line: None)
    assert program.calls[-1][-2:] == ["rmi", "--prune"]
