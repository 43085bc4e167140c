"""Mends a damaged blob or manifest from another registry that has it; what came is hashed before it is kept."""

import contextlib
import logging
from collections.abc import AsyncGenerator, Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from towpath.errors import TowpathError
from towpath.oci.digest import Digest
from towpath.registry.manifests import Manifests
from towpath.registry.storage.catalog import Catalog
from towpath.registry.storage.disk import Disk
from towpath.registry.storage.files import BlobFiles
from towpath.registry.storage.uploads import Uploads

log = logging.getLogger(__name__)

# The sessions of repairs: no repository can have this name.
REPAIRS = ".repairs"


class Upstream(Protocol):
    """Another registry that has the same content."""

    def open_blob(self, repository: str, digest: Digest) -> AsyncGenerator[bytes, None]:
        """A blob's bytes, by the repository's name here. Raises TowpathError, also while it is read."""
        ...

    async def get_manifest(self, repository: str, digest: Digest) -> tuple[bytes, str]:
        """A manifest and its media type, likewise. Raises TowpathError."""
        ...


# The upstream of a repository, or None.
FindUpstream = Callable[[str], Upstream | None]


class Repair:
    """Mends the blobs and manifests of one registry."""

    def __init__(
        self, *, catalog: Catalog, files: BlobFiles, uploads: Uploads, disk: Disk, manifests: Manifests
    ) -> None:
        self._catalog = catalog
        self._files = files
        self._uploads = uploads
        self._disk = disk
        self._manifests = manifests

    async def fetch(self, digest: Digest, repository: str, upstream: Upstream) -> bool:
        """Get a blob that the catalog knows again; whether it is here whole then."""
        upload = await self._disk.run(partial(self._uploads.create, REPAIRS))
        try:
            async with upload.lock, contextlib.aclosing(upstream.open_blob(repository, digest)) as pieces:
                async for piece in pieces:
                    await self._disk.run(partial(upload.write, [piece]))
            if not await self._disk.run(partial(upload.matches, digest)):
                log.warning("the upstream of %s gave other bytes than %s", repository, digest)
                return False
            await self._disk.run(upload.sync)
            return await self._disk.commit(partial(self._accept, upload.path, digest))
        except TowpathError as error:
            log.warning("blob %s was not repaired from the upstream of %s: %s", digest, repository, error.message)
            return False
        finally:
            self._uploads.forget(upload)
            await self._disk.run(upload.discard)

    async def fetch_manifest(self, digest: Digest, repository: str, upstream: Upstream) -> bool:
        """Get a manifest again; whether it is here whole then. What it needs may be missing: that is told apart."""
        try:
            content, media_type = await upstream.get_manifest(repository, digest)
            await self._manifests.keep(repository, content, media_type=media_type, digest=digest, tags=())
        except TowpathError as error:
            log.warning("manifest %s was not repaired from the upstream of %s: %s", digest, repository, error.message)
            return False
        return True

    def _accept(self, path: Path, digest: Digest) -> bool:
        if not self._catalog.knows_blob(str(digest)):
            return False  # collected meanwhile
        self._files.accept(path, digest)
        return True
