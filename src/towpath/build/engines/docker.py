"""Docker: its builder writes an OCI archive where it can, else the daemon saves the image as one (since 25.0).

A builder that is a container or a remote BuildKit, or a daemon with containerd's image store, exports OCI and rewrites
the times of files. The classic daemon does neither: its image is built, saved, and its name let go.
"""

from collections.abc import Mapping
from pathlib import Path

from towpath.build.engines.archive import unpack_layout
from towpath.build.engines.engine import Capabilities, DockerfileBuild, EngineFailedError, OnLine
from towpath.build.engines.running import Command, Ended, format_lines, run_command

DOCKER = "docker"
# Uncompressed layers: they are compressed here, the same way whichever engine made them.
OCI_OUTPUT = "rewrite-timestamp=true,compression=uncompressed"


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


class Docker:
    """`Engine` over docker."""

    name = DOCKER

    def __init__(
        self,
        program: Path,
        *,
        version: str,
        capabilities: Capabilities,
        environ: Mapping[str, str],
        timeout_seconds: float,
    ) -> None:
        """Set up; with `capabilities.repro` its builder writes OCI archives itself."""
        self.version = version
        self.capabilities = capabilities
        self._program = str(program)
        self._environ = environ
        self._timeout_seconds = timeout_seconds

    async def build(self, build: DockerfileBuild, layout: Path, on_line: OnLine) -> None:
        """Build into a layout."""
        archive, iidfile = layout.with_suffix(".tar"), layout.with_suffix(".iid")
        if self.capabilities.repro:
            await self._run(plan_export_build(self._program, build, archive=archive), build, on_line)
        else:
            await self._run(plan_daemon_build(self._program, build, iidfile=iidfile), build, on_line)
            save, forget = plan_save(self._program, iidfile.read_text().strip(), archive=archive)
            await self._run(save, build, on_line)
            await self._run(forget, build, on_line)
        await unpack_layout(archive, layout)

    async def _run(self, command: Command, build: DockerfileBuild, on_line: OnLine) -> Ended:
        ended = await run_command(
            command, cwd=build.context, environ=self._environ, timeout_seconds=self._timeout_seconds, on_line=on_line
        )
        if ended.returncode != 0:
            raise EngineFailedError(
                f"{build.dockerfile} could not be built (EngineFailed): docker {self.version} ended with "
                f"{ended.returncode}\n{format_lines(ended.lines)}",
                hint="mend the step that failed, or choose another engine",
            )
        return ended


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
