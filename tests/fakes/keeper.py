"""Runs a program and adopts whatever it leaves behind, so that a test can tell whether something outlived it.

`python keeper.py LOG PROGRAM ARGUMENT…` prints the program's pid, and its exit code (negative: the signal) when it has
ended. It is the "subreaper" of all that the program starts: orphans become its children, whatever session or namespace
they moved to. When its standard input closes, it kills what is left of the family and exits. Standard library only,
because it is started for every run of a platform.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36


def descendants(ancestor: int) -> list[int]:
    """Every living process below one, nearest first; zombies are not living."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue  # it has just ended
        if state not in "ZX":
            children.setdefault(int(parent), []).append(int(entry.name))
    found = list(children.get(ancestor, []))
    for pid in found:  # grows while it is walked
        found += children.get(pid, [])
    return found


def main(log: str, argv: list[str]) -> None:
    """Keep one program."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot become the subreaper")
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    with Path(log).open("ab") as output:
        program = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    _say(program.pid)
    while True:
        ready, _, _ = select.select([sys.stdin, woken], [], [])
        _reap(program.pid)
        with contextlib.suppress(BlockingIOError):
            os.read(woken, 512)
        if sys.stdin in ready:
            break
    while left := descendants(os.getpid()):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0)


def _say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def _reap(program: int) -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            if pid == program:
                _say(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
