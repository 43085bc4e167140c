"""Run a child program to its end, with a deadline, a bound on what it says, and without a shell.

A child never outlives its caller's wait: on time-out, cancellation or too much output its process group is killed.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from towpath.aio.children import start_child
from towpath.errors import RemoteError, UserError

# 256: enough to name the cause, little to leak.
SHOWN_ERROR_CHARACTERS = 256
_READ_BYTES = 1 << 16


class ProcessError(RemoteError):
    """A child program ran out of time or said too much."""


@dataclass(frozen=True, slots=True)
class Completed:
    """How a child program ended."""

    returncode: int
    stdout: bytes
    stderr: bytes


async def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path,
    env: Mapping[str, str],
    timeout_seconds: float,
    most_output_bytes: int,
) -> Completed:
    """Run a program that reads nothing, and collect its output; how it ended is for the caller to judge.

    Args:
        argv: the program and its arguments; secrets never belong here.
        cwd: its working directory.
        env: its whole environment.
        timeout_seconds: after this it is killed.
        most_output_bytes: of either stream; with more it is killed.

    Raises:
        UserError: the program is not installed.
        ProcessError: it ran out of time or said too much.
    """
    program = Path(argv[0]).name
    try:
        child = await start_child(argv, cwd=cwd, env=env, stdin=asyncio.subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise UserError(f"{program} could not be started (NotInstalled): {argv[0]} does not exist") from error
    reading = [
        asyncio.create_task(_read(stream, program, most_output_bytes)) for stream in (child.stdout, child.stderr)
    ]
    try:
        async with asyncio.timeout(timeout_seconds):
            stdout, stderr = await asyncio.gather(*reading)
            return Completed(await child.wait(), stdout, stderr)
    except TimeoutError as error:
        raise ProcessError(f"{program} did not end (Timeout): {timeout_seconds:g} s passed") from error
    finally:
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
        await _end(child)


async def _read(stream: asyncio.StreamReader | None, program: str, most_bytes: int) -> bytes:
    content = bytearray()
    while stream is not None and (chunk := await stream.read(_READ_BYTES)):
        content += chunk
        if len(content) > most_bytes:
            raise ProcessError(f"{program} said too much (TooLarge): more than {most_bytes} bytes")
    return bytes(content)


async def _end(child: asyncio.subprocess.Process) -> None:
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    # asyncio sees the end of a child only when its pipes have ended, and a full pipe is not read by itself.
    for stream in (child.stdout, child.stderr):
        while stream is not None and await stream.read(_READ_BYTES):
            pass
    await child.wait()
