"""Files that are whole or absent, whatever moment the power fails; and writes that are whole or fail."""

import contextlib
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

# From linux/fs.h.
_SYNC_FILE_RANGE_WRITE = 2


def write_durably(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Replace `path` by `content` in one step, on disk when this returns.

    Raises:
        OSError: no space, no permission; the old file is untouched and no temporary file stays.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def keep_private(database: Path) -> None:
    """See to it that nobody but its owner reads a SQLite database, before it is opened.

    SQLite makes a database as the umask says, and its `-wal` and `-shm` as the database is. What another account owns
    stays as it is. A file that is there is never opened here: closing it would end the locks that this process has on
    it by SQLite. Raises OSError.
    """
    try:
        os.close(os.open(database, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        for name in (database.name, f"{database.name}-wal", f"{database.name}-shm"):
            path = database.with_name(name)
            with contextlib.suppress(FileNotFoundError, PermissionError):
                if path.is_file():
                    path.chmod(0o600)


def write_all(descriptor: int, content: bytes | memoryview) -> None:
    """Write everything, in as many pieces as the kernel takes. Raises OSError."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def start_writing(descriptor: int, start: int, length: int) -> None:
    """Have the kernel begin to write this part to the disk, without waiting and without a promise.

    A later fsync then has less to wait for. Where the C library has no such call nothing happens.
    """
    call = _find_sync_file_range()
    if call is not None:
        call(descriptor, start, length, _SYNC_FILE_RANGE_WRITE)


@cache
def _find_sync_file_range() -> Callable[[int, int, int, int], int] | None:
    import ctypes  # noqa: PLC0415 - most processes that write files have no need of it

    call: Any = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if call is not None:
        call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    found: Callable[[int, int, int, int], int] | None = call
    return found


def sync_directory(directory: Path) -> None:
    """Make the names in `directory` durable: a rename is on disk only after this."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
