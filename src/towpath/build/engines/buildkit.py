"""BuildKit by its own client, buildctl: the Dockerfile is read by the frontend `dockerfile.v0` in the daemon."""

from pathlib import Path

from towpath.build.engines.daemon import OCI_OUTPUT, DaemonEngine
from towpath.build.engines.engine import DockerfileBuild, OnLine
from towpath.build.engines.running import Command

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


class BuildKit(DaemonEngine):
    """`Engine` over buildctl and the daemon it reaches."""

    name = BUILDKIT

    async def _write(self, build: DockerfileBuild, archive: Path, on_line: OnLine) -> None:
        command = plan_build(self._program, build, archive=archive, repro=self.capabilities.repro)
        await self._run(command, build, on_line)
