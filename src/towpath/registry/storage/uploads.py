"""Upload sessions: one growing file each, and nothing else, so that they survive a restart.

The offset of a session is the size of its file. The hash of what has arrived is kept beside it in memory; after a
restart it is computed again from the file. No file stays open between two pieces: an abandoned upload holds no resource
but its bytes, until `purge` removes it. A file is made when its session begins and never again, and it must be as long
as the offset before anything is added to it or made of it: else the hash would be of other bytes than the file's.
"""

import asyncio
import contextlib
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from towpath.aio.files import start_writing, write_all
from towpath.oci.digest import Digest, Hasher
from towpath.oci.errors import ErrorCode
from towpath.registry.errors import RegistryError
from towpath.registry.keeper.quota import Room
from towpath.registry.storage.files import PIECE_BYTES

# 1 MiB: large enough for a disk to write in one go, and no block is written twice.
WRITE_BACK_BYTES = 1024 * 1024
_SESSION = re.compile(r"[0-9a-f]{32}")


@dataclass(slots=True)
class Upload:
    """One session.

    Attributes:
        lock: held by the request that works on it.
        room: what a quota leaves it.
        begun: up to where the disk was told to write.
    """

    id: str
    path: Path
    offset: int = 0
    hasher: Hasher = field(default_factory=hashlib.sha256)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    ended: bool = False
    room: Room | None = None
    begun: int = 0

    def write(self, pieces: Iterable[bytes | memoryview]) -> None:
        """Append. When the disk fails, the session ends and its file goes.

        Raises:
            QuotaExceededError: a piece is more than there is room for; it was not added.
            RegistryError: BLOB_UPLOAD_UNKNOWN; it was purged a moment ago.
            OSError: the disk failed.
        """
        with self._open(os.O_WRONLY | os.O_APPEND) as descriptor:
            for piece in pieces:
                if self.room:
                    self.room.check(self.offset + len(piece))
                try:
                    write_all(descriptor, piece)
                except OSError:
                    self.discard()
                    raise
                self.hasher.update(piece)
                self.offset += len(piece)
            self._write_back(descriptor)

    def matches(self, digest: Digest) -> bool:
        """Whether all that arrived has this digest."""
        if digest.algorithm == "sha256":
            return self.hasher.hexdigest() == digest.hex
        with self._open(os.O_RDONLY) as descriptor:
            return _hash_file(descriptor, digest.hasher()).hexdigest() == digest.hex

    def sync(self) -> None:
        """Put all that arrived on disk. Raises RegistryError (BLOB_UPLOAD_UNKNOWN), OSError."""
        with self._open(os.O_RDONLY) as descriptor:
            os.fsync(descriptor)

    def discard(self) -> None:
        """End the session and remove its file."""
        self.ended = True
        self.path.unlink(missing_ok=True)

    def _write_back(self, descriptor: int) -> None:
        """Have the disk begin with what is whole blocks, so that `sync` finds little left to wait for."""
        end = self.offset - self.offset % WRITE_BACK_BYTES
        if end > self.begun:
            start_writing(descriptor, self.begun, end - self.begun)
            self.begun = end

    @contextlib.contextmanager
    def _open(self, flags: int) -> Iterator[int]:
        """The file that was made when the session began; the session ends when it is gone or of another length."""
        try:
            descriptor = os.open(self.path, flags | os.O_CLOEXEC)
        except FileNotFoundError as error:
            self.ended = True
            raise RegistryError(ErrorCode.BLOB_UPLOAD_UNKNOWN, f"upload {self.id} has been abandoned") from error
        try:
            found = os.fstat(descriptor).st_size
            if found != self.offset:
                self.discard()
                message = f"upload {self.id} is damaged: {self.offset} bytes arrived, its file has {found}"
                raise RegistryError(ErrorCode.BLOB_UPLOAD_UNKNOWN, message)
            yield descriptor
        finally:
            os.close(descriptor)


class Uploads:
    """The sessions of one registry directory."""

    def __init__(self, root: Path, *, new_uid: Callable[[], str]) -> None:
        self._root = root / "uploads"
        self._new_uid = new_uid
        self._known: dict[Path, Upload] = {}

    def prepare(self) -> None:
        """Make the directory."""
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)

    def create(self, repository: str) -> Upload:
        """Begin a session."""
        session = self._new_uid()
        path = self._path(repository, session)
        path.touch(mode=0o600, exist_ok=False)
        upload = Upload(session, path)
        self._known[path] = upload
        return upload

    def find_known(self, repository: str, session: str) -> Upload | None:
        """A session of this repository that this process has in memory, or None."""
        upload = self._known.get(self._path(repository, session))
        return upload if upload and not upload.ended else None

    def restore(self, repository: str, session: str) -> Upload | None:
        """A session from before a restart, its content read again; None when there is no such session."""
        path = self._path(repository, session)
        if not _SESSION.fullmatch(session):
            return None
        try:
            with path.open("rb", buffering=0) as file:
                hasher = _hash_file(file.fileno(), hashlib.sha256())
                restored = Upload(session, path, os.fstat(file.fileno()).st_size, hasher)
        except FileNotFoundError:
            return None
        # Two requests may restore at once; both must get the same session, for its lock.
        return self._known.setdefault(path, restored)

    def count(self) -> int:
        """How many sessions have begun and not ended, those of before a restart included."""
        return sum(1 for _ in self._root.iterdir())

    def forget(self, upload: Upload) -> None:
        """Drop a session that has ended."""
        self._known.pop(upload.path, None)

    def purge(self, *, older_than: float) -> int:
        """Remove sessions last written before this time (seconds since the epoch); says how many."""
        purged = 0
        for path in list(self._root.iterdir()):
            upload = self._known.get(path)
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < older_than and not (upload and upload.lock.locked()):
                    # First of all: a request that has just found the session looks at this when it has the lock.
                    if upload:
                        upload.ended = True
                    self._known.pop(path, None)
                    path.unlink()
                    purged += 1
        return purged

    def _path(self, repository: str, session: str) -> Path:
        # The repository is part of the name, so that a session cannot be continued from another repository.
        key = hashlib.sha256(repository.encode()).hexdigest()[:16]
        return self._root / f"{key}-{session}"


def _hash_file(descriptor: int, hasher: Hasher) -> Hasher:
    position = 0
    while piece := os.pread(descriptor, PIECE_BYTES, position):
        hasher.update(piece)
        position += len(piece)
    return hasher
