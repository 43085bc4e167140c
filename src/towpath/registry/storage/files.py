"""Blobs as files: `blobs/<algorithm>/<first two digits>/<hex>`, each stored once for all repositories.

A file appears under its name only when it is whole, verified and on disk; after that it is only read or removed. A file
found damaged is moved aside, so that the next push heals it.
"""

import contextlib
import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from towpath.aio.files import sync_directory
from towpath.oci.digest import HEX_LENGTHS, Digest, Hasher
from towpath.registry.errors import DamagedContentError

# 512 KiB: half a millisecond of reading and hashing, and the most a transfer holds at once. Twice that was no faster,
# and took the registry over 45 MiB with four connections.
PIECE_BYTES = 512 * 1024
# Inode, size, time of the last change: what tells a file from the one that replaces it.
Seen = tuple[int, int, int]
# A Python that was built for an old C library cannot ask.
_NO_WAIT: int | None = getattr(os, "RWF_NOWAIT", None)
_CANNOT_TELL = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
HEALING = "push the image again; a damaged file is kept in the registry's `damaged` directory"


class OpenBlob:
    """A blob open for reading. It closes with its last user: a worker may still read for a request that has gone."""

    __slots__ = ("_descriptor",)

    def __init__(self, path: Path) -> None:
        """Open it. Raises FileNotFoundError."""
        self._descriptor = -1
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def seen(self) -> Seen:
        """Which file it is."""
        return _seen(os.fstat(self._descriptor))

    def read(self, start: int, length: int) -> bytes:
        """A part of it."""
        return os.pread(self._descriptor, length, start)

    def read_into(self, buffer: memoryview, start: int, *, wait: bool = True) -> int:
        """Fill a buffer from a position on; says how much there was.

        Raises:
            BlockingIOError: it is not in memory, and not to be waited for; or that cannot be told on this filesystem.
        """
        if wait:
            return os.preadv(self._descriptor, [buffer], start)
        if _NO_WAIT is None:
            raise BlockingIOError
        try:
            count = os.preadv(self._descriptor, [buffer], start, _NO_WAIT)
        except OSError as error:
            if error.errno in _CANNOT_TELL:
                raise BlockingIOError from error
            raise
        # Linux 5.9 and 5.10 say 0 where something is not in memory (preadv2(2), BUGS).
        if not count:
            raise BlockingIOError
        return count


class BlobFiles:
    """The blob store of one registry directory."""

    def __init__(self, root: Path) -> None:
        self._root = root / "blobs"
        self._damaged = root / "damaged"
        # Files whose content was hashed by this process, by what changes when a file is replaced.
        self._verified: dict[Digest, Seen] = {}
        # Held while a name changes its file: a damaged file that is moved aside must not be the good one of a push.
        self._naming = threading.Lock()

    def prepare(self) -> None:
        """Make the directories."""
        for algorithm in HEX_LENGTHS:
            (self._root / algorithm).mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, digest: Digest) -> Path:
        """Where the blob is, or would be."""
        return self._root / digest.algorithm / digest.hex[:2] / digest.hex

    def accept(self, temporary: Path, digest: Digest) -> None:
        """Make a verified and synced file the blob of this digest, durably; replaces what is there."""
        target = self.path(digest)
        if not target.parent.exists():
            target.parent.mkdir(mode=0o700)
            sync_directory(target.parent.parent)
        with self._naming:
            temporary.replace(target)
        sync_directory(target.parent)
        self._verified[digest] = _seen(target.stat())

    def find_size(self, digest: Digest) -> int | None:
        """The size of the blob's file, or None when it is missing."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            return None

    def open(self, digest: Digest, *, size: int) -> "OpenBlob":
        """Open a blob for reading; it can be read to its end even when it is removed meanwhile.

        Raises:
            DamagedContentError: the file is missing or has another size.
        """
        try:
            opened = OpenBlob(self.path(digest))
        except FileNotFoundError as error:
            raise DamagedContentError(f"blob {digest} is damaged (Missing): its file is gone", hint=HEALING) from error
        self._check_size(digest, opened, size)
        return opened

    def is_verified(self, digest: Digest) -> bool:
        """Whether this process has hashed the file as it is now."""
        seen = self._verified.get(digest)
        try:
            return seen is not None and seen == _seen(self.path(digest).stat())
        except FileNotFoundError:
            return False

    def conclude(self, digest: Digest, hasher: Hasher, opened: OpenBlob) -> None:
        """Compare a hash over the whole of an open file with its name; move a damaged file aside.

        Raises:
            DamagedContentError: they differ.
        """
        if hasher.hexdigest() != digest.hex:
            self._set_aside(digest, opened)
            raise DamagedContentError(
                f"blob {digest} is damaged (DigestMismatch): its file has digest {hasher.hexdigest()}",
                hint=HEALING,
            )
        self._verified[digest] = opened.seen()

    def remove(self, digest: Digest) -> None:
        """Remove a blob; readers that have begun a piece still get it."""
        self._verified.pop(digest, None)
        self.path(digest).unlink(missing_ok=True)

    def purge_damaged(self, *, older_than: float) -> int:
        """Remove files that were moved aside before this time; says how many. Somebody may want to look at them."""
        purged = 0
        for path in list(self._damaged.iterdir()) if self._damaged.exists() else ():
            # The time of the renaming: the content's own is of its push.
            if path.stat().st_ctime < older_than:
                path.unlink(missing_ok=True)
                purged += 1
        return purged

    def digests(self) -> Iterator[Digest]:
        """All blobs on disk."""
        for algorithm in HEX_LENGTHS:
            for directory in sorted((self._root / algorithm).iterdir()):
                for file in sorted(directory.iterdir()):
                    yield Digest(algorithm, file.name)

    def _check_size(self, digest: Digest, opened: OpenBlob, size: int) -> None:
        found = opened.seen()[1]
        if found != size:
            self._set_aside(digest, opened)
            message = f"blob {digest} is damaged (SizeMismatch): expected {size} bytes, got {found}"
            raise DamagedContentError(message, hint=HEALING)

    def _set_aside(self, digest: Digest, opened: OpenBlob) -> None:
        path = self.path(digest)
        self._damaged.mkdir(exist_ok=True, mode=0o700)
        with contextlib.suppress(FileNotFoundError), self._naming:
            # A push may have replaced it by a good one since it was opened.
            if _seen(path.stat()) == opened.seen():
                self._verified.pop(digest, None)
                path.replace(self._damaged / digest.hex)


def _seen(status: os.stat_result) -> Seen:
    return status.st_ino, status.st_size, status.st_mtime_ns
