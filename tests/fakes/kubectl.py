"""The real kubectl, run against a kubeconfig."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KUBECTL = Path(sys.executable).parent / "kubectl"
# Long for a call that takes 60 ms: a time-out here is a hang, not a slow machine.
TIMEOUT_SECONDS = 300.0


@dataclass(frozen=True)
class Answer:
    """How a call ended."""

    code: int
    out: str
    err: str


class Kubectl:
    """Calls kubectl with one kubeconfig and a cache of its own."""

    def __init__(self, kubeconfig: Path) -> None:
        self._env = {**os.environ, "KUBECONFIG": str(kubeconfig), "HOME": str(kubeconfig.parent)}

    async def __call__(self, *arguments: str, stdin: str = "", check: bool = True) -> Answer:
        """Run a command; with `check`, a failure fails the test with kubectl's own words."""
        child = await asyncio.create_subprocess_exec(
            KUBECTL,
            *arguments,
            env=self._env,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await asyncio.wait_for(child.communicate(stdin.encode()), TIMEOUT_SECONDS)
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        answer = Answer(child.returncode or 0, out.decode(), err.decode())
        assert not check or answer.code == 0, f"kubectl {' '.join(arguments)}: {answer.err or answer.out}"
        return answer

    @asynccontextmanager
    async def lines(self, *arguments: str) -> AsyncIterator[AsyncIterator[str]]:
        """What a command prints, line by line; it is ended with the block."""
        child = await asyncio.create_subprocess_exec(
            KUBECTL, *arguments, env=self._env, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
        )

        async def read() -> AsyncIterator[str]:
            assert child.stdout is not None
            while line := await asyncio.wait_for(child.stdout.readline(), TIMEOUT_SECONDS):
                yield line.decode().rstrip("\n")

        try:
            yield read()
        finally:
            child.kill()
            await child.communicate()

    async def json(self, *arguments: str) -> Any:
        """The JSON that a command prints."""
        return json.loads((await self(*arguments, "-o", "json")).out)
