"""One platform a directory: the lock that says so, and the file that says where it listens. Reading it: `runfile`."""

import fcntl
import json
import os
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from towpath.aio.files import write_durably
from towpath.errors import ConflictError
from towpath.server.runfile import RUN_FILE, RunInfo

LOCK_FILE = "lock"


class Lock:
    """Held while a platform runs; the kernel releases it however the process ends."""

    def __init__(self, state: Path) -> None:
        self._path = state / LOCK_FILE
        self._descriptor = -1

    def __enter__(self) -> Self:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._descriptor)
            raise ConflictError(
                f"platform {self._path.parent.parent} cannot start (Running): another process runs it",
                hint="`towpath status` shows it; stop that process first",
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)


def write_run_info(state: Path, info: RunInfo) -> None:
    """Tell the command line where the platform is."""
    write_durably(state / RUN_FILE, json.dumps(asdict(info)).encode() + b"\n", mode=0o600)


def remove_run_info(state: Path) -> None:
    """The platform has stopped."""
    (state / RUN_FILE).unlink(missing_ok=True)
