"""Start a child program so that being cancelled at that very moment neither hangs nor leaves the child behind.

CPython up to 3.13 waits for ever when `create_subprocess_exec` is cancelled between fork and the connection of the
pipes: the end of the child is only noticed through pipes that nobody connects any more. So the start always runs to its
end, in a task that cannot be cancelled (it takes milliseconds); what was started for nobody is killed. The end of an
event loop cancels what asyncio itself works with, so whoever ends one calls `finish_starts` before.
"""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class _Start(asyncio.Task[Process]):
    """A task that nobody cancels."""

    def cancel(self, msg: Any | None = None) -> bool:
        """Go on."""
        del msg
        return False


async def start_child(argv: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str], stdin: int) -> Process:
    """Start a program in a process group of its own, with pipes for its output.

    Args:
        argv: the program and its arguments; secrets never belong here.
        cwd: its working directory.
        env: its whole environment.
        stdin: `subprocess.PIPE` or `subprocess.DEVNULL`.

    Raises:
        OSError: it could not be started; FileNotFoundError when there is no such program.
    """
    starting = _Start(
        asyncio.create_subprocess_exec(
            *map(str, argv),
            cwd=cwd,
            env=env,
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        ),
        loop=asyncio.get_running_loop(),
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        starting.add_done_callback(_kill)  # also when the wait below is cancelled
        await asyncio.wait({starting})
        if starting.exception() is None:
            await starting.result().wait()
        raise


def watch_children_cheaply() -> None:
    """Have Python 3.11 wait for children by descriptors, as later ones do, instead of by a thread each.

    Called before the event loop starts.
    """
    if sys.version_info >= (3, 12):
        return
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return  # an old kernel, or a container that forbids it
    asyncio.set_child_watcher(asyncio.PidfdChildWatcher())


async def finish_starts() -> None:
    """Wait until no child is in the middle of its start."""
    starts = [task for task in asyncio.all_tasks() if isinstance(task, _Start)]
    if starts:
        await asyncio.wait(starts)


def _kill(started: asyncio.Task[Process]) -> None:
    if started.exception() is None and started.result().returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.result().pid, signal.SIGKILL)
