"""Blobs as files: `blobs/<algorithm>/<first two digits>/<hex>`, each stored once for all repositories.

A file appears under its name only when it is whole, verified and on disk; after that it is only read or removed. A file
found damaged is moved aside, so that the next push heals it.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from towpath.aio.files import sync_directory
from towpath.oci.digest import HEX_LENGTHS, Digest, Hasher
from towpath.registry.errors import DamagedContentError

# 1 MiB: a piece of work of about a millisecond (read and hash), and the most a transfer holds in memory at once.
PIECE_BYTES = 1024 * 1024
_Seen = tuple[int, int, int]


class BlobFiles:
    """The blob store of one registry directory."""

    def __init__(self, root: Path) -> None:
        self._root = root / "blobs"
        self._damaged = root / "damaged"
        # Files whose content was hashed by this process, by what changes when a file is replaced.
        self._verified: dict[Digest, _Seen] = {}

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
        temporary.replace(target)
        sync_directory(target.parent)
        self._verified[digest] = _seen(target.stat())

    def find_size(self, digest: Digest) -> int | None:
        """The size of the blob's file, or None when it is missing."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            return None

    def read(self, digest: Digest, *, size: int, start: int, length: int) -> bytes:
        """A part of a blob.

        Raises:
            DamagedContentError: the file is missing or has another size.
        """
        try:
            with self.path(digest).open("rb", buffering=0) as file:
                self._check_size(digest, os.fstat(file.fileno()).st_size, size)
                return os.pread(file.fileno(), length, start)
        except FileNotFoundError as error:
            raise DamagedContentError(f"blob {digest} is damaged (Missing): its file is gone") from error

    def is_verified(self, digest: Digest) -> bool:
        """Whether this process has hashed the file as it is now."""
        seen = self._verified.get(digest)
        try:
            return seen is not None and seen == _seen(self.path(digest).stat())
        except FileNotFoundError:
            return False

    def conclude(self, digest: Digest, hasher: Hasher) -> None:
        """Compare a hash over the whole file with its name; move a damaged file aside.

        Raises:
            DamagedContentError: they differ.
        """
        if hasher.hexdigest() != digest.hex:
            self._set_aside(digest)
            raise DamagedContentError(
                f"blob {digest} is damaged (DigestMismatch): its file has digest {hasher.hexdigest()}",
                hint="push the image again; the damaged file is kept in the registry's `damaged` directory",
            )
        self._verified[digest] = _seen(self.path(digest).stat())

    def verify(self, digest: Digest, size: int) -> None:
        """Hash the whole file. Raises DamagedContentError."""
        hasher = digest.hasher()
        for start in range(0, size, PIECE_BYTES) or [0]:
            hasher.update(self.read(digest, size=size, start=start, length=PIECE_BYTES))
        self.conclude(digest, hasher)

    def remove(self, digest: Digest) -> None:
        """Remove a blob; readers that have begun a piece still get it."""
        self._verified.pop(digest, None)
        self.path(digest).unlink(missing_ok=True)

    def digests(self) -> Iterator[Digest]:
        """All blobs on disk."""
        for algorithm in HEX_LENGTHS:
            for directory in sorted((self._root / algorithm).iterdir()):
                for file in sorted(directory.iterdir()):
                    yield Digest(algorithm, file.name)

    def _check_size(self, digest: Digest, found: int, size: int) -> None:
        if found != size:
            self._set_aside(digest)
            raise DamagedContentError(f"blob {digest} is damaged (SizeMismatch): expected {size} bytes, got {found}")

    def _set_aside(self, digest: Digest) -> None:
        self._verified.pop(digest, None)
        self._damaged.mkdir(exist_ok=True, mode=0o700)
        path = self.path(digest)
        if path.exists():
            path.replace(self._damaged / digest.hex)


def _seen(status: os.stat_result) -> _Seen:
    return status.st_ino, status.st_size, status.st_mtime_ns
