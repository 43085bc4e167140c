"""Log files of containers: one a run, in the runtime interface's format, rotated by size.

A line on disk is `<RFC 3339 time with nanoseconds> stdout <F|P> <text>`; `P` marks a part of a line that goes on. A
line over 16 KiB is split into parts; what stands without an end when the container ends is kept as a part. Reading is
in `log_reader`.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

# 16 KiB: the split length of containerd and the kubelet.
MOST_LINE_BYTES = 16 * 1024
# 64 KiB: what a termination message is looked for in; it takes 2 KiB of it.
MOST_TAIL_BYTES = 64 * 1024
# 4 MiB, twice: enough to find a fault, little for a flash card.
ROTATE_BYTES = 4 * 1024 * 1024


class LogFile:
    """The log of one run, being written."""

    def __init__(self, path: Path, *, now: Callable[[], int] = time.time_ns, rotate_bytes: int = ROTATE_BYTES) -> None:
        """Open the file; an existing one is continued.

        Args:
            path: of the file; `<path>.1` is the rotated one.
            now: wall time in nanoseconds.
            rotate_bytes: the size at which it is rotated.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._now = now
        self._rotate_bytes = rotate_bytes
        self._descriptor = self._open()
        self._size = os.fstat(self._descriptor).st_size
        self._torn = b""
        self._written = asyncio.Event()

    @property
    def path(self) -> Path:
        """Where it is."""
        return self._path

    @property
    def is_closed(self) -> bool:
        """Whether the run is over."""
        return self._descriptor < 0

    def feed(self, content: bytes) -> None:
        """Take output as it comes, in pieces of any size."""
        *lines, torn = (self._torn + content).split(b"\n")
        stamp = format_stamp(self._now())
        records = [record for line in lines for record in _records(stamp, line)]
        while len(torn) >= MOST_LINE_BYTES:
            records.append(_record(stamp, b"P", torn[:MOST_LINE_BYTES]))
            torn = torn[MOST_LINE_BYTES:]
        self._torn = torn
        self._write(records)

    def close(self) -> None:
        """End the file; a line without an end is kept."""
        if self.is_closed:
            return
        if self._torn:
            self._write([_record(format_stamp(self._now()), b"P", self._torn)])
            self._torn = b""
        os.close(self._descriptor)
        self._descriptor = -1
        self._wake()

    def tail(self, lines: int, most_bytes: int) -> str:
        """The text of the last lines, at most so many bytes."""
        try:
            records = self._path.read_bytes()[-MOST_TAIL_BYTES:].splitlines()[-lines:]
        except OSError:
            return ""
        text = b"\n".join(record.split(b" ", 3)[-1] for record in records)
        return text[-most_bytes:].decode(errors="replace")

    async def wait_for_more(self) -> None:
        """Wait until something is written after this call, or the file is closed."""
        if not self.is_closed:
            await self._written.wait()

    def _write(self, records: list[bytes]) -> None:
        if not records or self.is_closed:
            return
        content = b"".join(records)
        if self._size + len(content) > self._rotate_bytes and self._size:
            self._rotate()
        try:
            os.write(self._descriptor, content)
        except OSError:
            return  # a full disk must not stop the pods; what could not be written is lost, as with a kubelet
        self._size += len(content)
        self._wake()

    def _rotate(self) -> None:
        rotated = self._path.with_name(f"{self._path.name}.1")
        try:
            self._path.replace(rotated)
            fresh = self._open()
        except OSError:
            with contextlib.suppress(OSError):
                rotated.replace(self._path)
            return  # the old file grows until there is space for a new one
        os.close(self._descriptor)
        self._descriptor = fresh
        self._size = 0

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)

    def _wake(self) -> None:
        self._written.set()
        self._written = asyncio.Event()


def format_stamp(nanoseconds: int) -> str:
    """RFC 3339 in UTC with nanoseconds."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def _records(stamp: str, line: bytes) -> list[bytes]:
    parts = [line[start : start + MOST_LINE_BYTES] for start in range(0, len(line), MOST_LINE_BYTES)] or [b""]
    return [_record(stamp, b"P", part) for part in parts[:-1]] + [_record(stamp, b"F", parts[-1])]


def _record(stamp: str, flag: bytes, text: bytes) -> bytes:
    return b"%s stdout %s %s\n" % (stamp.encode(), flag, text)
