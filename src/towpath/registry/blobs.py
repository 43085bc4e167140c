"""Blobs as the registry offers them: uploads, verified reads, mounts, deletion.

An upload is acknowledged after these steps, in this order: 1. its bytes are hashed while they are written; 2. the hash
is compared with the digest; 3. the file is synced; 4. it is renamed to its digest and the directory is synced; 5. the
row that gives it to the repository is committed. A crash between any two leaves nothing that a start does not sweep.
"""

import logging
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Protocol, TypeVar

from towpath.http.direct import Run
from towpath.http.line import Take
from towpath.oci.digest import Digest
from towpath.oci.errors import ErrorCode
from towpath.registry.errors import RegistryError
from towpath.registry.keeper.quota import QuotaExceededError
from towpath.registry.leases import Leases
from towpath.registry.storage.catalog import BlobNeededError, Catalog
from towpath.registry.storage.disk import Disk, translate
from towpath.registry.storage.files import PIECE_BYTES, BlobFiles
from towpath.registry.storage.reading import BlobReader
from towpath.registry.storage.uploads import Upload, Uploads

log = logging.getLogger(__name__)

T = TypeVar("T")

# 4 MiB: eight pulls at full speed. Each piece is in memory up to three times on its way to a slow client.
READING_BYTES = 4 * 1024 * 1024
# 64 KiB: what a socket takes at once; less would cost more calls and save nothing.
SMALLEST_PIECE_BYTES = 64 * 1024


class Content(Protocol):
    """What somebody sends."""

    async def pour(self, take: Take, *, run: Run) -> None:
        """Hand it to `take`, in a worker; what came before a failure has been taken."""
        ...


class Blobs:
    """The blobs of one registry. All errors are RegistryError, StorageError or DamagedContentError."""

    def __init__(self, *, files: BlobFiles, uploads: Uploads, catalog: Catalog, disk: Disk, leases: Leases) -> None:
        self._files = files
        self._uploads = uploads
        self._catalog = catalog
        self._disk = disk
        self._leases = leases
        self._readers = 0

    def find_size(self, repository: str, digest: Digest) -> int | None:
        """The size of a blob of the repository, or None; a blob whose file is missing counts as absent.

        A client that is told so pushes it again, which heals it. One that is told of it may count on it for a while.
        """
        if not self._leases.touch(repository, str(digest)):
            return None
        size = self._catalog.find_blob_size(repository, str(digest))
        if size is None:
            return None
        found = self._files.find_size(digest)
        if found != size:
            log.error("blob %s of %s is damaged: expected %d bytes, got %s", digest, repository, size, found)
            return None
        return size

    def get_size(self, repository: str, digest: Digest) -> int:
        """The size of a blob by the catalog alone. Raises RegistryError (BLOB_UNKNOWN)."""
        size = self._catalog.find_blob_size(repository, str(digest))
        if size is None:
            raise RegistryError(ErrorCode.BLOB_UNKNOWN, f"blob {digest} is not in {repository}")
        return size

    async def open(self, digest: Digest, *, size: int, start: int, stop: int) -> BlobReader:
        """A transfer of the bytes from `start` up to `stop`, of which the first piece is known to be good.

        Raises:
            DamagedContentError: the file is missing, has another size, or, when it is small, another digest.
        """
        reader = translate(partial(BlobReader, self._files, digest, size=size, start=start, stop=stop))
        if not reader.is_verified:
            await self._disk.run(reader.begin)
        return reader

    async def read(self, reader: BlobReader) -> AsyncGenerator[bytes, None]:
        """What is to be transferred, in pieces. Raises DamagedContentError, StorageError."""
        position = reader.start
        self._readers += 1
        try:
            while position < reader.stop:
                piece = await self.run(partial(reader.read, position, self._piece_bytes()))
                yield piece
                position += len(piece)
        finally:
            self._readers -= 1

    async def run(self, work: Callable[[], T]) -> T:
        """Have a worker of the registry move contents. Raises StorageError."""
        return await self._disk.run(work)

    def _piece_bytes(self) -> int:
        """How much a reader takes at once: all readers together stay within a budget, down to a smallest piece."""
        return max(SMALLEST_PIECE_BYTES, min(PIECE_BYTES, READING_BYTES // self._readers))

    async def start_upload(self, repository: str) -> Upload:
        """Begin an upload session. Raises QuotaExceededError when there is no room at all."""
        room = self._catalog.find_room(repository)
        if room:
            room.check(1)
        upload = await self._disk.run(partial(self._uploads.create, repository))
        upload.room = room
        return upload

    async def get_upload(self, repository: str, session: str) -> Upload:
        """An upload session. Raises RegistryError (BLOB_UPLOAD_UNKNOWN)."""
        upload = self._uploads.find_known(repository, session)
        if upload is None:
            upload = await self._disk.run(partial(self._uploads.restore, repository, session))
        if upload is None:
            raise RegistryError(ErrorCode.BLOB_UPLOAD_UNKNOWN, f"upload {session[:64]} is not known in {repository}")
        return upload

    async def append(self, upload: Upload, content: Content) -> None:
        """Add what arrives to a session, the caller holding its lock.

        What arrived before a failure of the sender stays, so that the client can go on from there.

        Raises:
            QuotaExceededError: it has become more than there was room for; the session has ended.
        """
        try:
            await content.pour(upload.write, run=self._disk.run)
        except QuotaExceededError:
            await self.cancel_upload(upload)
            raise
        finally:
            if upload.ended:
                self._uploads.forget(upload)

    async def finish_upload(self, repository: str, upload: Upload, digest: Digest) -> None:
        """Make the session's content a blob of the repository, durably; the caller holds its lock.

        Raises:
            RegistryError: DIGEST_INVALID, or BLOB_UPLOAD_UNKNOWN when it was purged; the session has ended.
        """

        def examine() -> bool:
            if not upload.matches(digest):
                return False
            upload.sync()
            return True

        try:
            is_good = await self._disk.run(examine)
        finally:
            if upload.ended:
                self._uploads.forget(upload)
        if not is_good:
            await self.cancel_upload(upload)
            message = f"upload does not match its digest: {upload.offset} bytes arrived that are not {digest}"
            raise RegistryError(ErrorCode.DIGEST_INVALID, message)

        def accept() -> None:
            self._leases.touch(repository, str(digest))
            self._files.accept(upload.path, digest)
            try:
                self._catalog.link_blob(repository, str(digest), upload.offset)
            except BaseException:
                if not self._catalog.knows_blob(str(digest)):
                    self._files.remove(digest)
                raise

        upload.ended = True
        try:
            await self._disk.commit(accept)
        except BaseException:
            await self._disk.run(upload.discard)
            raise
        finally:
            self._uploads.forget(upload)

    async def cancel_upload(self, upload: Upload) -> None:
        """End a session and remove what arrived."""
        self._uploads.forget(upload)
        await self._disk.run(upload.discard)

    async def mount(self, repository: str, digest: Digest, source: str) -> bool:
        """Give the repository a blob that another one has; False when that one does not have it (whole)."""
        if self.find_size(source, digest) is None:
            return False
        self._leases.touch(repository, str(digest))
        return await self._disk.commit(partial(self._catalog.mount_blob, repository, str(digest), source))

    def holders(self, digest: Digest) -> list[str]:
        """Names of the repositories that have a blob."""
        return self._catalog.holders(str(digest))

    async def delete(self, repository: str, digest: Digest) -> None:
        """Take a blob from the repository; its file goes when no other repository has it.

        Raises:
            RegistryError: BLOB_UNKNOWN; DENIED when a manifest of the repository needs it.
        """
        remove = partial(self._files.remove, digest)
        work = partial(self._catalog.unlink_blob, repository, str(digest), remove=remove)
        try:
            found = await self._disk.commit(work)
        except BlobNeededError as error:
            message = f"blob {digest} is part of a manifest of {repository}: delete the manifest first"
            raise RegistryError(ErrorCode.DENIED, message, status=409) from error
        if not found:
            raise RegistryError(ErrorCode.BLOB_UNKNOWN, f"blob {digest} is not in {repository}")
