"""Registries that are killed hundreds of times: a parent that has imported everything forks one child for each.

`python -m fakes.registry_nursery` reads one JSON line an order, `{"root": DIR, "skew": SECONDS, "collect": BOOL}`, and
answers with the pid and the port of a new child; the child serves until it is killed, and the parent reaps it. With
`collect` it collects garbage again and again; `skew` moves its clock, so that what was there before is old.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fakes.registry import serve_registry
from towpath.aio.clock import SystemClock
from towpath.registry.keeper.evidence import NoEvidence
from towpath.registry.keeper.policy import Policy

TESTS = Path(__file__).parent.parent


class SkewedClock(SystemClock):
    """The machine's clock, moved."""

    def __init__(self, skew: float) -> None:
        self._skew = skew

    def now(self) -> float:
        """Wall time, moved."""
        return super().now() + self._skew


@dataclass
class KillableRegistry:
    """A running one."""

    pid: int
    port: int

    def kill(self) -> None:
        """SIGKILL; its parent reaps it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


class Nursery:
    """The parent, seen from a test."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def start(self, root: Path, *, skew: float = 0.0, collect: bool = False) -> KillableRegistry:
        """A registry in a directory that no other one has open; the one before is gone when this returns."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the nursery has no pipes")
        stdin.write(json.dumps({"root": str(root), "skew": skew, "collect": collect}).encode() + b"\n")
        stdin.flush()
        return KillableRegistry(**json.loads(stdout.readline()))


@contextmanager
def run_nursery() -> Iterator[Nursery]:
    """A nursery; its last child ends with it."""
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    argv = [sys.executable, "-m", "fakes.registry_nursery"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        yield Nursery(process)
        if process.stdin:
            process.stdin.close()


def _tend() -> None:
    child = 0
    for line in sys.stdin:
        if child:
            os.waitpid(child, 0)
        order = json.loads(line)
        begun, tell = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(begun)
            asyncio.run(_serve(tell, **order))
            os._exit(0)
        os.close(tell)
        with os.fdopen(begun) as told:
            port = int(told.readline())
        sys.stdout.write(json.dumps({"pid": child, "port": port}) + "\n")
        sys.stdout.flush()
    if child:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


async def _serve(tell: int, *, root: str, skew: float, collect: bool) -> None:
    async with serve_registry(Path(root), clock=SkewedClock(skew)) as server:
        os.write(tell, f"{server.listener.port}\n".encode())
        while True:
            if collect:
                await server.registry.collector.collect(NoEvidence(), Policy(settling_seconds=0.0))
            await asyncio.sleep(0.001 if collect else 3600)


if __name__ == "__main__":
    _tend()
