"""What docker and BuildKit have in common: a client whose daemon builds, and an archive that becomes the layout.

Which commands they run is theirs (`docker`, `buildkit`).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from towpath.build.engines.archive import unpack_layout
from towpath.build.engines.engine import Capabilities, DockerfileBuild, EngineFailedError, OnLine
from towpath.build.engines.running import Command, format_lines, run_command

# Uncompressed layers: they are compressed here, the same way whichever engine made them.
OCI_OUTPUT = "rewrite-timestamp=true,compression=uncompressed"


class DaemonEngine(ABC):
    """`Engine` over a client of a daemon."""

    name: str

    def __init__(
        self,
        program: Path,
        *,
        version: str,
        capabilities: Capabilities,
        environ: Mapping[str, str],
        timeout_seconds: float,
    ) -> None:
        """Set up.

        Args:
            program: the client.
            version: as it says itself.
            capabilities: of client and daemon together.
            environ: what it may know of our environment, the daemon's address with it.
            timeout_seconds: for one command.
        """
        self.version = version
        self.capabilities = capabilities
        self._program = str(program)
        self._environ = environ
        self._timeout_seconds = timeout_seconds

    async def build(self, build: DockerfileBuild, layout: Path, on_line: OnLine) -> None:
        """Build into a layout."""
        archive = layout.with_suffix(".tar")
        await self._write(build, archive, on_line)
        await unpack_layout(archive, layout)

    @abstractmethod
    async def _write(self, build: DockerfileBuild, archive: Path, on_line: OnLine) -> None:
        """Build, and leave the image in an archive. Raises EngineFailedError."""

    async def _run(self, command: Command, build: DockerfileBuild, on_line: OnLine) -> None:
        """Run one command for a build. Raises EngineFailedError when it does not end well."""
        ended = await run_command(
            command, cwd=build.context, environ=self._environ, timeout_seconds=self._timeout_seconds, on_line=on_line
        )
        if ended.returncode != 0:
            raise EngineFailedError(
                f"{build.dockerfile} could not be built (EngineFailed): {self.name} {self.version} ended with "
                f"{ended.returncode}\n{format_lines(ended.lines)}",
                hint="mend the step that failed, or choose another engine",
            )
