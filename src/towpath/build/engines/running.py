"""Runs an engine's command: every line it prints is passed on, and nothing of it outlives its caller's wait.

An engine is asked to end first (SIGTERM), since it has containers and mounts to take down, and killed with its whole
process group a moment later. That is so for time-outs and for cancelled builds.
"""

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from towpath.aio.children import start_child
from towpath.build.engines.engine import EngineFailedError, EngineMissingError, OnLine

# Thirty: what a failing step says last, with the step itself above it.
KEPT_LINES = 30
# A line without an end is cut: progress bars draw themselves on one.
LONGEST_LINE = 4096
GRACE_SECONDS = 5.0
_READ_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run: its arguments, which never hold a secret, and what its environment has beside ours."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, and the last lines it printed."""

    returncode: int
    lines: tuple[str, ...]


async def run_command(
    command: Command, *, cwd: Path, environ: Mapping[str, str], timeout_seconds: float, on_line: OnLine
) -> Ended:
    """Run a command to its end; how it ended is for the caller to judge.

    Raises:
        EngineMissingError: there is no such program.
        EngineFailedError: it ran out of time.
    """
    program = Path(command.argv[0]).name
    kept: deque[str] = deque(maxlen=KEPT_LINES)

    def keep(line: str) -> None:
        kept.append(line)
        on_line(line)

    try:
        child = await start_child(
            command.argv, cwd=cwd, env={**environ, **command.env}, stdin=asyncio.subprocess.DEVNULL
        )
    except OSError as error:
        raise EngineMissingError(
            f"{program} could not be started (EngineMissing): {error.strerror or error}"
        ) from error
    reading = [asyncio.create_task(_pass_on(stream, keep)) for stream in (child.stdout, child.stderr)]
    try:
        async with asyncio.timeout(timeout_seconds):
            # Waited for, not gathered: a cancelled wait leaves the readers alive, without whom a child that has much
            # to say never ends.
            await asyncio.wait(reading, return_when=asyncio.FIRST_EXCEPTION)
            for task in reading:
                task.result()
            return Ended(await child.wait(), tuple(kept))
    except TimeoutError as error:
        raise EngineFailedError(
            f"{program} did not end (Timeout): {timeout_seconds:g} s passed\n{format_lines(kept)}",
            hint="find out which step takes so long",
        ) from error
    finally:
        await _end(child)
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)


def format_lines(lines: Sequence[str] | deque[str]) -> str:
    """Lines of output as they stand in an error."""
    return "\n".join(f"    {line}" for line in lines)


async def _pass_on(stream: asyncio.StreamReader | None, on_line: OnLine) -> None:
    pending = b""
    while stream is not None and (chunk := await stream.read(_READ_BYTES)):
        # A carriage return redraws a line: what stands there in the end is what counts.
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            _tell(line, on_line)
        if len(pending) > LONGEST_LINE:
            _tell(pending, on_line)
            pending = b""
    _tell(pending, on_line)


def _tell(line: bytes, on_line: OnLine) -> None:
    text = line.rstrip(b"\r").rpartition(b"\r")[2][:LONGEST_LINE].decode(errors="replace").rstrip()
    if text:
        on_line(text)


async def _end(child: asyncio.subprocess.Process) -> None:
    """End the whole group; who started the engine's own children does not matter, for they share it."""
    try:
        if child.returncode is None:
            _signal(child, signal.SIGTERM)
            await _wait(child)
    finally:  # also when the wait is cancelled
        _signal(child, signal.SIGKILL)
    # Bounded: somebody who left the group may hold the pipes open, and asyncio waits for those.
    await _wait(child)


async def _wait(child: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GRACE_SECONDS):
            await child.wait()


def _signal(child: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)
