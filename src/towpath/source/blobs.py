"""Streams the blobs of a tree from one `git cat-file` into files, in a thread: bounded memory, whatever their size.

Not through the event loop: a tree is tens of megabytes in small files, and a loop takes twice as long as the disk. A
pipe of a megabyte lets Git inflate while files are made. The child only reads: ending it leaves nothing behind.
"""

import asyncio
import contextlib
import fcntl
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from towpath.aio.files import write_all
from towpath.errors import IntegrityError, UserError
from towpath.source import git

SYMLINK, SUBMODULE, EXECUTABLE = "120000", "160000", "100755"
# 1 MiB: of the pipe, of our buffer, and the most of a file that is in memory.
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One file of a tree."""

    mode: str
    id: str
    path: str


async def write_blobs(repository: Path, entries: Sequence[TreeEntry], destination: Path) -> None:
    """Write files and links below a directory whose directories are there; none of the files may exist.

    Raises:
        IntegrityError: a blob is not there, or Git ended early.
        OSError: no space, or no permission.
    """
    blobs = [entry for entry in entries if entry.mode != SUBMODULE]
    if not blobs:
        return
    stream = _Stream(repository)
    running = asyncio.ensure_future(asyncio.to_thread(stream.write, blobs, destination))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        # Whoever cancelled removes what was written: nothing may be added to it afterwards.
        stream.stop()
        await asyncio.wait({running})
        if not running.cancelled():
            running.exception()  # seen: it says that Git ended early
        raise


class _Stream:
    """One child; `write` blocks, `stop` may be called from another thread."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._lock = threading.Lock()
        self._stopped = False
        self._child: subprocess.Popen[bytes] | None = None

    def write(self, blobs: Sequence[TreeEntry], destination: Path) -> None:
        with tempfile.TemporaryFile() as ids:
            ids.write("".join(f"{entry.id}\n" for entry in blobs).encode())
            ids.seek(0)
            child = self._start(ids)
        try:
            if child.stdout is None:
                raise git.GitError("git could not be started (NoPipe): a pipe is missing")
            with child.stdout as pipe:
                for entry in blobs:
                    _write_blob(pipe, entry, destination)
        finally:
            self.stop()
            child.wait()

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            if self._child is not None and self._child.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._child.pid, signal.SIGKILL)

    def _start(self, ids: IO[bytes]) -> "subprocess.Popen[bytes]":
        with self._lock:
            if self._stopped:
                raise IntegrityError("blobs could not be read (Stopped): nobody waits for them")
            try:
                self._child = subprocess.Popen(
                    git.command(self._repository, "cat-file", "--batch"),
                    cwd="/",
                    env=git.environment(),
                    stdin=ids,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    bufsize=_CHUNK_BYTES,
                    start_new_session=True,
                )
            except FileNotFoundError as error:
                raise UserError(
                    "git could not be started (NotInstalled): no such program on PATH", hint="install git 2.30 or later"
                ) from error
            if self._child.stdout is not None:
                with contextlib.suppress(OSError):  # more than a user's pipes may take together
                    fcntl.fcntl(self._child.stdout, fcntl.F_SETPIPE_SZ, _CHUNK_BYTES)
            return self._child


def _write_blob(pipe: IO[bytes], entry: TreeEntry, destination: Path) -> None:
    header = pipe.readline().decode().split()
    if len(header) != 3 or header[1] != "blob":
        raise IntegrityError(f"{entry.path} could not be read (MissingObject): blob {entry.id} is not there")
    size = int(header[2])
    target = f"{destination}/{entry.path}"
    if entry.mode == SYMLINK:
        Path(target).symlink_to(os.fsdecode(_read(pipe, size)))
    else:
        mode = 0o777 if entry.mode == EXECUTABLE else 0o666
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(target, flags, mode)
        try:
            _copy(pipe, size, descriptor)
        finally:
            os.close(descriptor)
    _read(pipe, 1)  # the newline after each object


def _copy(pipe: IO[bytes], size: int, descriptor: int) -> None:
    while size:
        chunk = _read(pipe, min(size, _CHUNK_BYTES))
        size -= len(chunk)
        write_all(descriptor, chunk)


def _read(pipe: IO[bytes], size: int) -> bytes:
    content = pipe.read(size)
    if len(content) != size:
        raise IntegrityError("a blob could not be read (Truncated): git ended in the middle of it")
    return content
