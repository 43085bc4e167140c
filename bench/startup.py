"""From the start of the `towpath up` process to a platform that accepts a push.

    python -m bench startup

Accepting: TCP connects, and what a push asks first (`info/refs?service=git-receive-pack`, with credentials) is
answered. A *new* directory has keys, certificates and stores to make. A *restart* finds a fleet to bring up again.
*Cold* is a restart after the files of Python, its packages and the platform were dropped from the page cache, as far as
no other process has them mapped.
"""

import os
import socket
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import towpath
from bench.lab import START_SECONDS, Lab, wait_until
from bench.numbers import Table, format_seconds, median

ROUNDS = 5
LOOK_SECONDS = 0.002


@dataclass(frozen=True)
class Start:
    """Seconds from the start of the process until something could be done."""

    connected: float
    accepts_push: float
    up: float


def measure_start(lab: Lab) -> Start:
    """Start a platform; it is left running."""
    started = time.monotonic()
    lab.spawn()
    wait_until(lambda: _connects(lab), seconds=START_SECONDS, interval=LOOK_SECONDS, what="connection")
    connected = time.monotonic() - started
    wait_until(lambda: _accepts(lab), seconds=START_SECONDS, interval=LOOK_SECONDS, what="answer to git")
    accepts = time.monotonic() - started
    lab.wait_until_up()
    return Start(connected, accepts, time.monotonic() - started)


def _connects(lab: Lab) -> bool:
    try:
        socket.create_connection(("127.0.0.1", lab.port), timeout=1).close()
    except OSError:
        return lab.pid == 0  # raises when the process has ended
    return True


def _accepts(lab: Lab) -> bool:
    status, _ = lab.get("/git/lab.git/info/refs?service=git-receive-pack", user="towpath")
    return status == 200


def measure(*, rounds: int = ROUNDS) -> dict[str, list[Start]]:
    """The starts of each case."""
    with tempfile.TemporaryDirectory(prefix="bench-startup-") as directory:
        new = []
        for number in range(rounds):
            place = Path(directory) / f"new{number}"
            place.mkdir()
            new.append(_measure_and_stop(Lab(place)))
        lab = _with_fleet(Path(directory) / "fleet")
        return {
            "new directory": new,
            "restart": [_measure_and_stop(lab) for _ in range(rounds)],
            "restart, cold": [_measure_and_stop(lab, first=lambda: drop_from_page_cache(lab)) for _ in range(rounds)],
        }


def _with_fleet(directory: Path) -> Lab:
    directory.mkdir()
    lab = Lab(directory)
    with lab.running():
        lab.git("push", "--quiet", "towpath", "main")
        lab.wait_until_ready(lab.git("rev-parse", "HEAD").strip(), "dev")
    return lab


def _measure_and_stop(lab: Lab, *, first: Callable[[], None] = lambda: None) -> Start:
    first()
    try:
        return measure_start(lab)
    finally:
        lab.stop()


def drop_from_page_cache(lab: Lab) -> None:
    """Have the kernel forget the files a start reads; those that some process has mapped stay."""
    package = Path(towpath.__file__).parent
    for directory in {sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), str(package), str(lab.root)}:
        for path in Path(directory).rglob("*"):
            if path.is_file() and os.access(path, os.R_OK):
                _drop(path)
    _drop(Path(sys.executable).resolve())


def _drop(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def make_table(cases: dict[str, list[Start]]) -> Table:
    """Case by case; medians, and the slowest."""
    rows = tuple(
        (
            name,
            format_seconds(median([start.connected for start in starts])),
            format_seconds(median([start.accepts_push for start in starts])),
            format_seconds(max(start.accepts_push for start in starts)),
            format_seconds(median([start.up for start in starts])),
        )
        for name, starts in cases.items()
    )
    return Table(("start", "TCP connects", "**accepts a push**", "slowest", "says it is up"), rows)


def run() -> str:
    """Measure; the section."""
    cases = measure()
    return f"{make_table(cases).format()}\n\nMedians of {ROUNDS} starts each."
