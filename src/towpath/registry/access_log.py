"""The access log: one JSON object a line for every request, cheap, bounded, and without secrets.

Lines are gathered and written together, half a second apart at most or as soon as there are 64 KiB, so that a busy
registry pays one write for hundreds of requests. What cannot be written (a full disk) is dropped beyond 1 MiB and
counted in the next line that can: a log must never stop the registry, nor fill its memory. A file is turned at a size;
one that another program has moved away is opened anew.
"""

import asyncio
import contextlib
import logging
import os
import sys
from pathlib import Path

import orjson

from towpath.aio.clock import format_rfc3339
from towpath.aio.files import write_all
from towpath.errors import UserError
from towpath.registry.traffic import Passage

log = logging.getLogger(__name__)

FLUSH_SECONDS = 0.5
FLUSH_BYTES = 64 * 1024
HELD_BYTES = 1024 * 1024
# 10 MiB, and three older ones: some 200 000 requests.
FILE_BYTES = 10 * 1024 * 1024
OLDER_FILES = 3


class AccessLog:
    """`traffic.Observer` that writes lines, to a file or to standard error."""

    def __init__(self, path: Path | None, *, file_bytes: int = FILE_BYTES) -> None:
        """Open it; `path` None means standard error.

        Raises:
            UserError: the file cannot be written.
        """
        self._path = path
        self._file_bytes = file_bytes
        self._lines: list[bytes] = []
        self._held = 0
        self._dropped = 0
        self._failing = False
        self._timer: asyncio.TimerHandle | None = None
        self._descriptor = self._open()

    def passed(self, passage: Passage) -> None:
        """Take a line for a request that has ended."""
        line = orjson.dumps(
            {
                "time": format_rfc3339(passage.at),
                "id": passage.id,
                "remote": passage.remote,
                "caller": passage.caller,
                "method": passage.method,
                "path": passage.path,
                "status": passage.status,
                "received": passage.received,
                "sent": passage.sent,
                "seconds": round(passage.seconds, 6),
                "agent": passage.user_agent,
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )
        if self._held + len(line) > HELD_BYTES:
            self._dropped += 1
            return
        self._lines.append(line)
        self._held += len(line)
        if self._held >= FLUSH_BYTES and not self._failing:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def refused(self, reason: str) -> None:
        """Nothing: the request's own line says that it was refused."""

    def flush(self) -> None:
        """Write what has been gathered."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._lines:
            return
        lines = list(self._lines)
        if self._dropped:
            lines.append(orjson.dumps({"dropped": self._dropped}, option=orjson.OPT_APPEND_NEWLINE))
        try:
            self._turn()
            write_all(self._descriptor, b"".join(lines))
        except OSError as error:
            if not self._failing:
                log.warning("access log cannot be written (%s); lines are dropped until it can", error.strerror)
            self._failing = True
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)
            return
        self._failing = False
        self._lines, self._held, self._dropped = [], 0, 0

    def close(self) -> None:
        """Write the rest and let go of the file."""
        self.flush()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._path is not None:
            os.close(self._descriptor)

    def _open(self) -> int:
        if self._path is None:
            return sys.stderr.fileno()
        try:
            return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise UserError(
                f"access log {self._path} cannot be written ({type(error).__name__}): {error.strerror}",
                hint="choose another file",
            ) from error

    def _turn(self) -> None:
        """Go over to a new file when this one is long enough, or is no longer what the name stands for."""
        if self._path is None:
            return
        mine = os.fstat(self._descriptor)
        try:
            named = self._path.stat()
        except FileNotFoundError:
            named = None
        if named is not None and named.st_ino == mine.st_ino:
            if mine.st_size < self._file_bytes:
                return
            for number in range(OLDER_FILES, 0, -1):
                older = self._path if number == 1 else self._numbered(number - 1)
                with contextlib.suppress(FileNotFoundError):
                    older.rename(self._numbered(number))
        fresh = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        os.close(self._descriptor)
        self._descriptor = fresh

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if self._path else Path()
