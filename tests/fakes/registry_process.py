"""A registry in a process of its own, for tests that kill it and for clients that block.

`python -m fakes.registry_process DIR` prints its port and serves until its standard input is closed.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fakes.registry import serve_registry

TESTS = Path(__file__).parent.parent


@dataclass
class RegistryProcess:
    """A running one."""

    process: "subprocess.Popen[bytes]"
    host: str

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.kill()
        self.process.wait()


@contextmanager
def run_registry(root: Path) -> Iterator[RegistryProcess]:
    """Run a registry in this directory until the block ends."""
    argv = [sys.executable, "-m", "fakes.registry_process", str(root)]
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield RegistryProcess(process, f"127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


async def _serve(root: Path) -> None:
    async with serve_registry(root) as server:
        sys.stdout.write(f"{server.listener.port}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
