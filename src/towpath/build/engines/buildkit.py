"""BuildKit by its own client, buildctl: the Dockerfile is read by the frontend `dockerfile.v0` in the daemon."""

from collections.abc import Mapping
from pathlib import Path

from towpath.build.engines.archive import unpack_layout
from towpath.build.engines.docker import OCI_OUTPUT
from towpath.build.engines.engine import Capabilities, DockerfileBuild, EngineFailedError, OnLine
from towpath.build.engines.running import Command, format_lines, run_command

BUILDKIT, BUILDCTL = "buildkit", "buildctl"


def plan_build(program: str, build: DockerfileBuild, *, archive: Path, repro: bool) -> Command:
    """The command that builds into an OCI archive; `repro` when this version rewrites the times of files."""
    file = Path(build.dockerfile)
    options = {
        "filename": file.name,
        "platform": str(build.platform),
        "build-arg:SOURCE_DATE_EPOCH": str(build.epoch),
        **{f"build-arg:{name}": value for name, value in sorted(build.arguments.items())},
        **({"target": build.target} if build.target else {}),
    }
    output = OCI_OUTPUT if repro else "compression=uncompressed"
    argv = [
        program,
        "build",
        "--progress=plain",
        "--frontend=dockerfile.v0",
        f"--local=context={build.context}",
        f"--local=dockerfile={build.context / file.parent}",
        *(f"--opt={name}={value}" for name, value in options.items()),
        *(f"--secret=id={name},src={path}" for name, path in sorted(build.secrets.items())),
        f"--output=type=oci,dest={archive},{output}",
    ]
    return Command(tuple(argv), {"SOURCE_DATE_EPOCH": str(build.epoch)})


class BuildKit:
    """`Engine` over buildctl and the daemon it reaches."""

    name = BUILDKIT

    def __init__(
        self,
        program: Path,
        *,
        version: str,
        capabilities: Capabilities,
        environ: Mapping[str, str],
        timeout_seconds: float,
    ) -> None:
        self.version = version
        self.capabilities = capabilities
        self._program = str(program)
        self._environ = environ
        self._timeout_seconds = timeout_seconds

    async def build(self, build: DockerfileBuild, layout: Path, on_line: OnLine) -> None:
        """Build into a layout."""
        archive = layout.with_suffix(".tar")
        command = plan_build(self._program, build, archive=archive, repro=self.capabilities.repro)
        ended = await run_command(
            command, cwd=build.context, environ=self._environ, timeout_seconds=self._timeout_seconds, on_line=on_line
        )
        if ended.returncode != 0:
            raise EngineFailedError(
                f"{build.dockerfile} could not be built (EngineFailed): buildctl {self.version} ended with "
                f"{ended.returncode}\n{format_lines(ended.lines)}",
                hint="mend the step that failed, or choose another engine",
            )
        await unpack_layout(archive, layout)
