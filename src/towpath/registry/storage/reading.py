"""Reads a part of one blob for a transfer, and hashes what this process has not hashed before.

Only a whole blob can be hashed. One that turns out damaged is found before its last bytes are given away, so that no
client ever has a whole wrong blob.
"""

from towpath.oci.digest import Digest
from towpath.registry.errors import DamagedContentError
from towpath.registry.storage.files import PIECE_BYTES, BlobFiles

# What `begin` reads: a blob that is no larger is known to be good or bad before anything is said of it.
FIRST_BYTES = PIECE_BYTES


class BlobReader:
    """One transfer of the bytes from `start` up to `stop`. It may be read to its end when the blob is removed."""

    def __init__(self, files: BlobFiles, digest: Digest, *, size: int, start: int, stop: int) -> None:
        """Open the file. Raises DamagedContentError: it is missing, or of another size."""
        self.start = start
        self.stop = stop
        self._files = files
        self._digest = digest
        self._size = size
        is_whole = start == 0 and stop == size
        self._hasher = digest.hasher() if is_whole and not files.is_verified(digest) else None
        self._hashed = 0
        self._opened = files.open(digest, size=size)

    @property
    def is_verified(self) -> bool:
        """Whether there is nothing to hash."""
        return self._hasher is None

    def begin(self) -> None:
        """Read and hash the first piece. Raises DamagedContentError."""
        if self._hasher and not self._size:
            self._files.conclude(self._digest, self._hasher, self._opened)
        elif self._size:
            self.fill(memoryview(bytearray(min(FIRST_BYTES, self.stop - self.start))), self.start)

    def fill(self, buffer: memoryview, position: int) -> int:
        """Put the bytes at a position that was reached into a buffer; says how many.

        Raises:
            DamagedContentError: the file ended early, or has another digest.
        """
        count = self._opened.read_into(buffer, position)
        if not count:
            raise DamagedContentError(f"blob {self._digest} is damaged (CutShort): its file ended at {position} bytes")
        if self._hasher and position + count > self._hashed:
            self._hasher.update(buffer[self._hashed - position : count])
            self._hashed = position + count
            if self._hashed >= self._size:
                self._files.conclude(self._digest, self._hasher, self._opened)
        return count

    def fill_now(self, buffer: memoryview, position: int) -> int:
        """As `fill`, of what is hashed and in memory. Raises BlockingIOError where anything must be waited for."""
        if self._hasher:
            raise BlockingIOError
        return self._opened.read_into(buffer, position, wait=False)

    def read(self, position: int, length: int) -> bytes:
        """As `fill`, into bytes of their own."""
        content = bytearray(min(length, self.stop - position))
        count = self.fill(memoryview(content), position)
        return bytes(content[:count])
