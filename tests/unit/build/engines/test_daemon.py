"""docker and BuildKit as programs: each leaves an archive, of the builder or the daemon, that becomes a layout."""

import os
from pathlib import Path

import pytest

from fakes.engine_programs import EngineProgram
from towpath.build.engines.buildkit import BuildKit
from towpath.build.engines.docker import Docker
from towpath.build.engines.engine import DockerfileBuild, Engine, EngineFailedError
from towpath.build.engines.versions import buildkit_capabilities, docker_capabilities
from towpath.oci.platform import Platform


@pytest.fixture
def program(tmp_path: Path) -> EngineProgram:
    return EngineProgram(tmp_path, "docker")


def docker(program: EngineProgram, *, exports_oci: bool) -> Docker:
    able = docker_capabilities((28, 2), exports_oci=exports_oci)
    return Docker(program.path, version="28.2.2", capabilities=able, environ=os.environ, timeout_seconds=600.0)


def buildkit(program: EngineProgram) -> BuildKit:
    able = buildkit_capabilities((0, 26))
    return BuildKit(program.path, version="0.26.1", capabilities=able, environ=os.environ, timeout_seconds=600.0)


async def build(engine: Engine, tmp_path: Path) -> list[str]:
    """Build; the files of the layout."""
    context = tmp_path / "context"
    context.mkdir()
    asked = DockerfileBuild(context, "Dockerfile", Platform("linux", "amd64"), 7)
    await engine.build(asked, tmp_path / "layout", lambda _line: None)
    return [path.name for path in (tmp_path / "layout").iterdir()]


async def test_a_builder_that_exports_is_called_once(program: EngineProgram, tmp_path: Path) -> None:
    assert await build(docker(program, exports_oci=True), tmp_path) == ["index.json"]
    assert [call[:2] for call in program.calls] == [["buildx", "build"]]
    assert not (tmp_path / "layout.tar").exists()


async def test_a_daemon_builds_saves_and_lets_go(program: EngineProgram, tmp_path: Path) -> None:
    assert await build(docker(program, exports_oci=False), tmp_path) == ["index.json"]
    assert [call[0] for call in program.calls] == ["build", "save", "image"]
    assert program.calls[1][-1] == program.calls[2][-1] == "sha256:1234"


async def test_buildkit_is_called_once(program: EngineProgram, tmp_path: Path) -> None:
    assert await build(buildkit(program), tmp_path) == ["index.json"]
    assert len(program.calls) == 1


@pytest.mark.parametrize("step", ["build", "save"])
async def test_a_failure_of_docker_has_its_last_words(program: EngineProgram, tmp_path: Path, step: str) -> None:
    program.answer({step: (1, "ERROR: the daemon is tired")})
    with pytest.raises(EngineFailedError, match="the daemon is tired"):
        await build(docker(program, exports_oci=False), tmp_path)


async def test_a_failure_of_buildkit_has_its_last_words(program: EngineProgram, tmp_path: Path) -> None:
    program.answer({"build": (1, "error: failed to solve")})
    with pytest.raises(EngineFailedError, match="failed to solve"):
        await build(buildkit(program), tmp_path)
