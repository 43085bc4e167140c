"""Reading log files as `kubectl logs` asks: all or the tail, since a time, with times, followed while the run lasts."""

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from towpath.aio.clock import parse_rfc3339
from towpath.cluster.node.pod.logs import LogFile

_BATCH_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """What is asked for. `since` is in epoch seconds."""

    previous: bool = False
    follow: bool = False
    tail_lines: int | None = None
    since: float | None = None
    timestamps: bool = False


async def read_log(path: Path, query: LogQuery, live: Callable[[], LogFile | None]) -> AsyncIterator[bytes]:
    """The log of one run, in pieces that end at a line's end (but for a torn last line).

    Args:
        path: of the file; it and its rotated part may be missing.
        query: what is asked for.
        live: the file being written, while the run lasts.
    """
    shown = _Shown(query)
    rotated = path.with_name(f"{path.name}.1")
    records = [record for part in (rotated, path) for record in _read_records(part)]
    position = _size(path)
    identity = _identity(path)
    lines = [line for record in records if (line := shown.line(record)) is not None]
    if query.tail_lines is not None:
        lines = _tail(lines, query.tail_lines)
    for batch in _batches(lines):
        yield batch
    while query.follow:
        writing = live()
        if writing is None or writing.is_closed or writing.path != path:
            open_end = True
        else:
            open_end = False
            if _size(path) == position and _identity(path) == identity:
                await writing.wait_for_more()
        fresh: list[bytes] = []
        if _identity(path) != identity:  # rotated while we read: first the rest of the old file
            fresh += _read_records(rotated, position)
            position, identity = 0, _identity(path)
        new_records, position = _read_from(path, position)
        fresh += new_records
        for batch in _batches([line for record in fresh if (line := shown.line(record)) is not None]):
            yield batch
        if open_end:
            return


class _Shown:
    """Turns records into what is shown."""

    def __init__(self, query: LogQuery) -> None:
        self._query = query
        self._continued = False

    def line(self, record: bytes) -> bytes | None:
        stamp, _, rest = record.partition(b" ")
        _, _, rest = rest.partition(b" ")
        flag, _, text = rest.partition(b" ")
        if self._query.since is not None and parse_rfc3339(_trim(stamp.decode())) < self._query.since:
            return None
        starts, self._continued = not self._continued, flag == b"P"
        if self._query.timestamps and starts:
            text = stamp + b" " + text
        return text if self._continued else text + b"\n"


def _trim(stamp: str) -> str:
    """Nanoseconds cut to microseconds, which is what datetime reads."""
    return f"{stamp[:26]}Z" if len(stamp) > 27 else stamp


def _tail(lines: list[bytes], count: int) -> list[bytes]:
    kept: deque[bytes] = deque()
    whole = 0
    for line in reversed(lines):
        # A part belongs to the line that its end was counted for.
        if line.endswith(b"\n") or not kept:
            if whole == count:
                break
            whole += 1
        kept.appendleft(line)
    return list(kept)


def _batches(lines: list[bytes]) -> Iterator[bytes]:
    batch: list[bytes] = []
    size = 0
    for line in lines:
        batch.append(line)
        size += len(line)
        if size >= _BATCH_BYTES:
            yield b"".join(batch)
            batch, size = [], 0
    if batch:
        yield b"".join(batch)


def _read_records(path: Path, position: int = 0) -> list[bytes]:
    return _read_from(path, position)[0]


def _read_from(path: Path, position: int) -> tuple[list[bytes], int]:
    """The whole records after `position`, and where they end."""
    try:
        with path.open("rb") as file:
            return _split(file, position)
    except FileNotFoundError:
        return [], position


def _split(file: IO[bytes], position: int) -> tuple[list[bytes], int]:
    file.seek(position)
    content = file.read()
    end = content.rfind(b"\n") + 1  # a crash may have torn the last record
    return content[:end].splitlines(), position + end


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _identity(path: Path) -> int:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0
