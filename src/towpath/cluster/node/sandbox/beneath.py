"""Opening a path below a directory that somebody else writes to, without ever leaving it.

A running container may at any moment put a link where a directory was. So the way is walked by descriptors, one
component after the other, and no link is followed, not even a harmless one. Standard library only, see `broker`.
"""

import os
import stat
from typing import Literal

Kind = Literal["", "directory", "file"]


def open_beneath(root: str, path: str, *, make: Kind = "", mode: int = 0o755) -> int:
    """An `O_PATH` descriptor of `path` below `root`; the caller closes it.

    Args:
        root: trusted; "" as path means it itself, which may be a file.
        path: relative; `.` and empty components count for nothing.
        make: what to make of the last component if it is missing, and directories on the way to it.
        mode: of directories made here, whatever the umask.

    Raises:
        OSError: ELOOP or ENOTDIR where a link or a file is in the way, ENOENT where something is missing.
    """
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise OSError(f"{path!r} climbs out")
    reached = os.open(root, os.O_PATH | os.O_CLOEXEC)
    try:
        for position, part in enumerate(parts):
            last = position == len(parts) - 1
            if make:
                _make(reached, part, make if last else "directory", mode)
            inner = _open_part(reached, part, directory=not last)
            os.close(reached)
            reached = inner
    except BaseException:
        os.close(reached)
        raise
    return reached


def _make(parent: int, part: str, kind: Kind, mode: int) -> None:
    try:
        if kind == "file":
            os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=parent))
            return
        os.mkdir(part, mode, dir_fd=parent)
    except FileExistsError:
        return  # also a link that leads nowhere: opening it is refused
    made = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        os.fchmod(made, mode)
    finally:
        os.close(made)


def _open_part(parent: int, part: str, *, directory: bool) -> int:
    flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_DIRECTORY if directory else 0)
    opened = os.open(part, flags, dir_fd=parent)
    if stat.S_ISLNK(os.fstat(opened).st_mode):  # O_PATH opens a link itself
        os.close(opened)
        raise OSError(40, os.strerror(40), part)
    return opened
