"""Run a child program to its end, with a deadline and without a shell.

A child never outlives its caller's wait: on time-out or cancellation its whole process group is killed.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from towpath.errors import RemoteError, UserError

# 256: enough to name the cause, little to leak.
SHOWN_ERROR_CHARACTERS = 256


class ProcessError(RemoteError):
    """A child program failed or ran out of time."""


@dataclass(frozen=True, slots=True)
class Completed:
    """How a child program ended."""

    returncode: int
    stdout: bytes
    stderr: bytes


async def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    timeout_seconds: float = 60.0,
    check: bool = True,
) -> Completed:
    """Run a program and collect its output.

    Args:
        argv: the program and its arguments; secrets never belong here.
        cwd: its working directory.
        env: variables laid over the environment of this process.
        stdin: what it reads.
        timeout_seconds: after this it is killed.
        check: raise when it exits with another code than 0.

    Raises:
        UserError: the program is not installed.
        ProcessError: it failed (with `check`) or ran out of time.
    """
    program = Path(argv[0]).name
    try:
        child = await asyncio.create_subprocess_exec(
            *map(str, argv),
            cwd=cwd,
            env={**os.environ, **env} if env else None,
            stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise UserError(f"{program} could not be started (NotInstalled): {argv[0]} does not exist") from error
    try:
        stdout, stderr = await asyncio.wait_for(child.communicate(stdin or None), timeout_seconds)
    except TimeoutError as error:
        raise ProcessError(f"{program} did not end (Timeout): {timeout_seconds:g} s passed") from error
    finally:
        await _kill(child)
    completed = Completed(child.returncode if child.returncode is not None else -1, stdout, stderr)
    if check and completed.returncode != 0:
        shown = stderr.decode(errors="replace").strip()[-SHOWN_ERROR_CHARACTERS:]
        raise ProcessError(f"{program} failed (exit code {completed.returncode}): {shown}")
    return completed


async def _kill(child: asyncio.subprocess.Process) -> None:
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        await child.wait()
