"""Which engine builds: the one that is asked for, or the first that works; and what is said when none does."""

import os
from pathlib import Path

import pytest

from fakes.engine_programs import EngineProgram
from towpath.build.engines.choice import Engines
from towpath.build.engines.engine import DockerfileBuild, EngineMissingError
from towpath.oci.platform import Platform

HOST = Platform("linux", "amd64")
BUILD = DockerfileBuild(Path("/x"), "Dockerfile", HOST, 0)
ELSEWHERE = DockerfileBuild(Path("/x"), "Dockerfile", Platform("linux", "arm64"), 0)
BUILDAH = {"--version": (0, "buildah version 1.28.2 (image-spec 1.1.0-rc2)")}
PODMAN = {"--version": (0, "podman version 4.3.1")}
DOCKER = {
    "version {{.Client.Version}}": (0, "28.2.2"),
    "version {{.Server.Version}}": (0, "27.1.0"),
    "info": (0, "Storage Driver: overlay2"),
    "buildx": (0, "Name: default\nDriver: docker\n"),
}
NO_BUILDX = {"buildx": (1, "docker: unknown command: docker buildx")}


class Machine:
    """The programs of a machine."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.programs: dict[str, EngineProgram] = {}

    def install(self, name: str, answers: dict[str, tuple[int, str]]) -> EngineProgram:
        program = EngineProgram(self.directory, name)
        program.answer(answers)
        self.programs[name] = program
        return program

    def which(self, name: str) -> str | None:
        return str(self.programs[name].path) if name in self.programs else None

    def engines(self) -> Engines:
        environ = {**os.environ, "TOWPATH_KEY_PASSWORD": "secret"}
        return Engines(store=self.directory / "store", environ=environ, host=HOST, which=self.which)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


async def test_the_first_that_is_installed_is_taken(machine: Machine) -> None:
    machine.install("podman", PODMAN)
    machine.install("docker", DOCKER)
    engine = await machine.engines().choose("auto", BUILD)
    assert (engine.name, engine.version) == ("podman", "4.3.1")


async def test_the_one_that_is_asked_for_wins(machine: Machine) -> None:
    machine.install("buildah", BUILDAH)
    machine.install("podman", PODMAN)
    assert (await machine.engines().choose("podman", BUILD)).name == "podman"
    assert (await machine.engines().choose("auto", BUILD)).name == "buildah"


async def test_without_any_the_error_says_what_to_install(machine: Machine) -> None:
    with pytest.raises(EngineMissingError) as caught:
        await machine.engines().choose("auto", BUILD)
    assert "buildah is not installed; podman is not installed" in caught.value.message
    assert "apt-get install buildah" in caught.value.hint


async def test_one_that_is_asked_for_and_missing_is_not_replaced(machine: Machine) -> None:
    machine.install("buildah", BUILDAH)
    with pytest.raises(EngineMissingError, match="buildkit is not installed"):
        await machine.engines().choose("buildkit", BUILD)


async def test_a_client_without_its_daemon_does_not_count(machine: Machine) -> None:
    machine.install("docker", {"version {{.Client.Version}}": (0, "28.2.2"), "version": (1, "Cannot connect to it")})
    machine.install("buildctl", {"--version": (0, "buildctl v0.13.0"), "debug": (1, "connection refused")})
    with pytest.raises(EngineMissingError) as caught:
        await machine.engines().choose("auto", BUILD)
    assert "docker does not work: Cannot connect to it" in caught.value.message
    assert "buildkit does not work: connection refused" in caught.value.message


async def test_docker_is_as_old_as_the_older_of_client_and_daemon(machine: Machine) -> None:
    machine.install("docker", {**DOCKER, "version {{.Server.Version}}": (0, "19.3.15")})
    with pytest.raises(EngineMissingError, match="cannot write an OCI image"):
        await machine.engines().choose("docker", BUILD)


async def test_a_docker_without_a_builder_of_its_own_builds_and_saves(machine: Machine) -> None:
    machine.install("docker", DOCKER)
    engine = await machine.engines().choose("docker", BUILD)
    assert (engine.version, engine.capabilities.repro) == ("27.1.0", False)


async def test_an_older_docker_has_a_builder_inside(machine: Machine) -> None:
    machine.install("docker", {**DOCKER, **NO_BUILDX, "version {{.Client.Version}}": (0, "20.10.24+dfsg1")})
    assert (await machine.engines().choose("docker", BUILD)).capabilities.secrets


async def test_a_present_docker_needs_its_plug_in(machine: Machine) -> None:
    machine.install("docker", {**DOCKER, **NO_BUILDX})
    with pytest.raises(EngineMissingError, match=r"docker 28.2.2 does not build without buildx") as caught:
        await machine.engines().choose("docker", BUILD)
    assert "plug-in" in caught.value.hint


async def test_docker_with_a_builder_of_its_own_exports_oci(machine: Machine) -> None:
    machine.install("docker", {**DOCKER, "buildx": (0, "Name: x\nDriver: docker-container\n")})
    assert (await machine.engines().choose("docker", BUILD)).capabilities.repro


async def test_buildkit_is_reached_by_its_client(machine: Machine) -> None:
    machine.install(
        "buildctl", {"--version": (0, "buildctl github.com/moby/buildkit v0.26.1"), "debug workers": (0, "x")}
    )
    engine = await machine.engines().choose("auto", BUILD)
    assert (engine.name, engine.version) == ("buildkit", "0.26.1")


async def test_one_that_cannot_do_it_is_passed_over(machine: Machine) -> None:
    machine.install("buildah", {"--version": (0, "buildah version 1.19.6")})
    machine.install("podman", PODMAN)
    engines = machine.engines()
    assert (await engines.choose("auto", ELSEWHERE)).name == "podman"
    assert (await engines.choose("auto", BUILD)).name == "buildah"


async def test_what_was_found_is_not_looked_for_again_and_what_was_not_is(machine: Machine) -> None:
    engines = machine.engines()
    with pytest.raises(EngineMissingError):
        await engines.choose("auto", BUILD)
    program = machine.install("buildah", BUILDAH)
    assert await engines.choose("auto", BUILD) is await engines.choose("auto", BUILD)
    assert len(program.calls) == 1
