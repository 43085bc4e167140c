"""Docker: its builder writes an OCI archive where it can, else the daemon saves the image, as one since 25.0.

A builder that is a container or a remote BuildKit, or a daemon with containerd's image store, exports OCI and rewrites
the times of files. The classic daemon does neither: its image is built, saved, and its name let go.
"""

from pathlib import Path

from towpath.build.engines.daemon import OCI_OUTPUT, DaemonEngine
from towpath.build.engines.engine import DockerfileBuild, OnLine
from towpath.build.engines.running import Command

DOCKER = "docker"


def plan_export_build(program: str, build: DockerfileBuild, *, archive: Path) -> Command:
    """The command of a builder that writes an OCI archive itself."""
    output = f"--output=type=oci,dest={archive},{OCI_OUTPUT}"
    return Command(
        (program, "buildx", "build", "--progress=plain", "--provenance=false", "--sbom=false", output, *_shared(build)),
        _environment(build),
    )


def plan_daemon_build(program: str, build: DockerfileBuild, *, iidfile: Path) -> Command:
    """The command that builds into the daemon's own store; the image's id ends in `iidfile`."""
    return Command((program, "build", f"--iidfile={iidfile}", *_shared(build)), _environment(build))


def plan_save(program: str, image: str, *, archive: Path) -> tuple[Command, Command]:
    """The commands that write an image of the daemon as an archive, and let it go."""
    return (
        Command((program, "save", f"--output={archive}", image)),
        Command((program, "image", "rm", "--no-prune", image)),
    )


def exports_oci(buildx: str, info: str) -> bool:
    """Whether the builder can write OCI archives: from `docker buildx inspect` and `docker info`."""
    driver = next((line.partition(":")[2].strip() for line in buildx.splitlines() if line.startswith("Driver:")), "")
    if driver in {"docker-container", "remote", "kubernetes"}:
        return True
    return driver == DOCKER and "io.containerd.snapshotter" in info


class Docker(DaemonEngine):
    """`Engine` over docker; with `capabilities.repro` its builder writes OCI archives itself."""

    name = DOCKER

    async def _write(self, build: DockerfileBuild, archive: Path, on_line: OnLine) -> None:
        if self.capabilities.repro:
            await self._run(plan_export_build(self._program, build, archive=archive), build, on_line)
            return
        iidfile = archive.with_suffix(".iid")
        await self._run(plan_daemon_build(self._program, build, iidfile=iidfile), build, on_line)
        for command in plan_save(self._program, iidfile.read_text().strip(), archive=archive):
            await self._run(command, build, on_line)


def _shared(build: DockerfileBuild) -> list[str]:
    return [
        f"--file={build.context / build.dockerfile}",
        f"--platform={build.platform}",
        f"--build-arg=SOURCE_DATE_EPOCH={build.epoch}",
        *(f"--build-arg={name}={value}" for name, value in sorted(build.arguments.items())),
        *(f"--secret=id={name},src={file}" for name, file in sorted(build.secrets.items())),
        *([f"--target={build.target}"] if build.target else []),
        str(build.context),
    ]


def _environment(build: DockerfileBuild) -> dict[str, str]:
    return {"SOURCE_DATE_EPOCH": str(build.epoch), "DOCKER_BUILDKIT": "1"}
