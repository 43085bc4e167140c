"""The registry as a program sees it: one directory, opened by `start` and let go by `close`.

    blobs/<algorithm>/<ab>/<hex>   contents, stored once
    uploads/                       sessions, purged when abandoned
    damaged/                       files that were not what their name said
    catalog.db                     repositories, links, manifests, tags
    reserve                        space to empty a full disk with
    lock                           held by the process that has the directory open

`blobs` and `manifests` hold the rules; HTTP stands in `protocol`.
"""

import fcntl
import logging
import os
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from towpath.aio.clock import Clock, SystemClock
from towpath.aio.files import sync_directory
from towpath.aio.tasks import Background
from towpath.errors import UserError
from towpath.registry.blobs import Blobs
from towpath.registry.holdings import Holdings
from towpath.registry.keeper.collection import Collector
from towpath.registry.keeper.quota import Quota
from towpath.registry.keeper.repair import Repair
from towpath.registry.keeper.scrub import Scrub
from towpath.registry.leases import Leases
from towpath.registry.manifests import Manifests
from towpath.registry.pullthrough import PullThrough, Upstream
from towpath.registry.storage.catalog import Catalog
from towpath.registry.storage.disk import Disk, translate
from towpath.registry.storage.files import BlobFiles
from towpath.registry.storage.reserve import Reserve
from towpath.registry.storage.survey import count_blobs, read_tags
from towpath.registry.storage.uploads import Uploads

log = logging.getLogger(__name__)

# One hour: no client pauses longer and comes back; an abandoned upload costs disk space only.
UPLOAD_SECONDS = 3600.0
PURGE_INTERVAL_SECONDS = 900.0
# A month: long enough for somebody who wants to see what the disk has made of a file.
DAMAGED_SECONDS = 30 * 86_400.0


class DirectoryInUseError(UserError):
    """Another process has the registry's directory open."""


class Registry:
    """One registry directory."""

    def __init__(
        self,
        root: Path,
        *,
        clock: Clock | None = None,
        new_uid: Callable[[], str] = lambda: uuid.uuid4().hex,
        upload_seconds: float = UPLOAD_SECONDS,
        upstreams: Mapping[str, Upstream] | None = None,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            root: the directory.
            clock: ages uploads, leases and what upstreams said.
            new_uid: names upload sessions.
            upload_seconds: how long after its last piece an upload is purged.
            upstreams: the prefixes that are filled from other registries (`pullthrough`).
        """
        self._upstreams = {} if upstreams is None else upstreams  # may be filled until `start`
        self._root = root
        self._clock = clock or SystemClock()
        self._new_uid = new_uid
        self._upload_seconds = upload_seconds
        self._background = Background()
        self._leases = Leases(clock=self._clock)
        self._opened: tuple[Disk, Catalog, BlobFiles, Uploads] | None = None
        self._lock: int | None = None

    async def start(self) -> None:
        """Open the directory, made new when there is none, and sweep what a crash left behind.

        Raises:
            UserError: another process has it open, or it is no directory.
            DataVersionError: it was written by another version.
            StorageError: it cannot be read or written.
        """
        disk = Disk()
        try:
            catalog, files, uploads = await disk.commit(self._open)
        except BaseException:
            disk.close()
            self._unlock()
            raise
        self._opened = (disk, catalog, files, uploads)
        self.blobs = Blobs(files=files, uploads=uploads, catalog=catalog, disk=disk, leases=self._leases)
        self.manifests = Manifests(catalog=catalog, files=files, disk=disk, leases=self._leases)
        self.collector = Collector(
            catalog=catalog,
            files=files,
            disk=disk,
            leases=self._leases,
            reserve=Reserve(self._root),
            clock=self._clock,
        )
        self.pull_through = PullThrough(
            blobs=self.blobs, manifests=self.manifests, upstreams=self._upstreams, clock=self._clock
        )
        self.scrub = Scrub(
            catalog=catalog,
            files=files,
            disk=disk,
            clock=self._clock,
            survey=self.collector.survey,
            repair=Repair(catalog=catalog, files=files, uploads=uploads, disk=disk, manifests=self.manifests),
        )
        self._background.run_forever("registry upload purge", self._purge_for_ever)

    async def close(self) -> None:
        """Finish the work in hand and let the directory go."""
        await self._background.close()
        if self._opened:
            await self.pull_through.close()
            disk, catalog, _, _ = self._opened
            disk.close()
            catalog.close()
            self._opened = None
        self._unlock()

    def limit(self, quota: Quota) -> None:
        """Hold what is pushed from this moment on against a quota."""
        _, catalog, _, _ = self._require()
        catalog.limit(quota)

    def count_holdings(self) -> Holdings:
        """What is stored at this moment, in numbers."""
        _, _, _, uploads = self._require()
        blobs, blob_bytes = translate(partial(count_blobs, self._root / "catalog.db"))
        return Holdings(blobs, blob_bytes, uploads.count())

    async def read_tags(self) -> dict[tuple[str, str], str]:
        """The digest of every tag that was pushed here, by repository and tag; copies follow their upstreams."""
        disk, _, _, _ = self._require()
        found = await disk.run(partial(read_tags, self._root / "catalog.db"))
        return {key: digest for key, digest in found.items() if not self.pull_through.covers(key[0])}

    async def purge_uploads(self) -> int:
        """Remove abandoned uploads; says how many."""
        disk, _, _, uploads = self._require()
        return await disk.run(partial(uploads.purge, older_than=self._clock.now() - self._upload_seconds))

    def _open(self) -> tuple[Catalog, BlobFiles, Uploads]:
        if self._root.exists() and not self._root.is_dir():
            raise UserError(f"registry directory {self._root} cannot be opened (NotADirectory): it is a file")
        try:
            self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._take_lock()
        except OSError as error:
            raise UserError(
                f"registry directory {self._root} cannot be opened ({type(error).__name__}): {error.strerror}",
                hint="choose a directory that you may write to",
            ) from error
        catalog = Catalog(self._root / "catalog.db", now=self._clock.now)
        try:
            files = BlobFiles(self._root)
            files.prepare()
            uploads = Uploads(self._root, new_uid=self._new_uid)
            uploads.prepare()
            uploads.purge(older_than=self._clock.now() - self._upload_seconds)
            _sweep(catalog, files)
            Reserve(self._root).refill()
            sync_directory(self._root)
        except BaseException:
            catalog.close()
            raise
        return catalog, files, uploads

    def _take_lock(self) -> None:
        # The sweep at the start takes another process's half-done pushes for garbage.
        self._lock = os.open(self._root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DirectoryInUseError(
                f"registry directory {self._root} cannot be opened (InUse): another process has it open",
                hint="end that process, or choose another directory",
            ) from error

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def _purge_for_ever(self) -> None:
        while True:
            await self._clock.sleep(PURGE_INTERVAL_SECONDS)
            purged = await self.purge_uploads()
            if purged:
                log.info("removed %d abandoned uploads", purged)
            disk, _, files, _ = self._require()
            await disk.run(partial(files.purge_damaged, older_than=self._clock.now() - DAMAGED_SECONDS))

    def _require(self) -> tuple[Disk, Catalog, BlobFiles, Uploads]:
        if self._opened is None:
            raise RuntimeError("the registry is not started")
        return self._opened


def _sweep(catalog: Catalog, files: BlobFiles) -> None:
    """Remove files that no row names: a crash came between the rename and the commit, so nobody was told of them."""
    known = {digest for digest, _ in catalog.blobs()}
    orphans = [digest for digest in files.digests() if str(digest) not in known]
    for digest in orphans:
        translate(partial(files.remove, digest))
    if orphans:
        log.info("removed %d blobs of interrupted pushes", len(orphans))
