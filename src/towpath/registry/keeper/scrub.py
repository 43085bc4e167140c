"""Looks for bit rot: reads every blob and every manifest again, and compares them with their digests.

1. Blobs, in the order of their digests, from where the last run stopped; at most so many bytes a second.
2. A damaged file is moved aside, so that nobody gets it, and the next push (or step 3) heals it.
3. An upstream that has the blob, if the owner has set one, gives it again.
4. Manifests, at the end of a run: those that are damaged, which the upstream gives again, and those that lack a blob.

Where it is, is kept in the catalog, so that a restart does not begin anew.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import orjson

from towpath.aio.clock import Clock
from towpath.oci.digest import Digest
from towpath.registry.errors import DamagedContentError
from towpath.registry.keeper.facts import Facts, ManifestFact
from towpath.registry.keeper.repair import FindUpstream, Repair
from towpath.registry.storage.catalog import Catalog
from towpath.registry.storage.disk import Disk
from towpath.registry.storage.files import PIECE_BYTES, BlobFiles
from towpath.registry.storage.survey import find_damaged_manifests

log = logging.getLogger(__name__)

MARK = "scrub"
# Written at most once for so many bytes: a restart reads them twice, and flash is spared.
MARK_BYTES = 256 * 1024 * 1024


Survey = Callable[[], Awaitable[Facts]]


@dataclass(frozen=True, slots=True)
class Damage:
    """Something that is not what its digest says.

    Attributes:
        digest: of the blob or the manifest.
        problem: what is wrong.
        affected: manifests that cannot be pulled whole while it is so.
        repaired_from: the repository whose upstream gave it again; empty when none did.
    """

    digest: str
    problem: str
    affected: tuple[ManifestFact, ...] = ()
    repaired_from: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. `finished_at` is None while it goes on."""

    started_at: float
    checked: int = 0
    checked_bytes: int = 0
    total_bytes: int = 0
    damages: tuple[Damage, ...] = ()
    finished_at: float | None = None


class Scrub:
    """Scrubs one registry."""

    def __init__(
        self, *, catalog: Catalog, files: BlobFiles, disk: Disk, clock: Clock, survey: Survey, repair: Repair
    ) -> None:
        """`survey` tells what is in the registry, for saying what a damage affects."""
        self._catalog = catalog
        self._files = files
        self._disk = disk
        self._clock = clock
        self._survey = survey
        self._repair = repair
        self.progress: Progress | None = None

    def find_last_end(self) -> float | None:
        """When a whole run last ended."""
        ended = self._read_mark().get("ended")
        return float(ended) if isinstance(ended, (int, float)) else None

    async def run(
        self,
        *,
        bytes_per_second: float | None = None,
        find_upstream: FindUpstream = lambda _: None,
        resume: bool = False,
    ) -> Progress:
        """One run over everything; `progress` tells meanwhile how far it is.

        Args:
            bytes_per_second: how fast at most; None for as fast as it goes.
            find_upstream: where to repair from.
            resume: begin where an interrupted run stopped.

        Raises:
            StorageError: the disk refused.
        """
        after = str(self._read_mark().get("after", "")) if resume else ""
        blobs = [(digest, size) for digest, size in self._catalog.blobs() if digest > after]
        self.progress = Progress(self._clock.now(), total_bytes=sum(size for _, size in blobs))
        unmarked = 0
        for text, size in blobs:
            damage = await self._check(Digest.parse(text), size, bytes_per_second)
            if damage:
                await self._report(damage, find_upstream)
            now = self.progress
            self.progress = replace(now, checked=now.checked + 1, checked_bytes=now.checked_bytes + size)
            unmarked += size
            if unmarked >= MARK_BYTES:
                await self._write_mark(after=text)
                unmarked = 0
        await self._check_manifests(find_upstream)
        self.progress = replace(self.progress, finished_at=self._clock.now())
        await self._write_mark(ended=self.progress.finished_at)
        return self.progress

    async def _check(self, digest: Digest, size: int, bytes_per_second: float | None) -> Damage | None:
        try:
            await self._verify(digest, size, bytes_per_second)
        except DamagedContentError as error:
            # Collected meanwhile: it is gone because nothing needs it.
            if not self._catalog.has_blob(str(digest)):
                return None
            log.error("%s", error.message)  # noqa: TRY400 - the trace says nothing that the message does not
            return Damage(str(digest), error.message)
        return None

    async def _verify(self, digest: Digest, size: int, bytes_per_second: float | None) -> None:
        blob = await self._disk.survey(partial(self._files.open, digest, size=size))
        hasher = digest.hasher()

        def step(start: int) -> None:
            hasher.update(blob.read(start, PIECE_BYTES))

        for start in range(0, size, PIECE_BYTES):
            await self._disk.survey(partial(step, start))
            if bytes_per_second:
                await self._clock.sleep(PIECE_BYTES / bytes_per_second)
        await self._disk.survey(partial(self._files.conclude, digest, hasher, blob))

    async def _report(self, damage: Damage, find_upstream: FindUpstream) -> None:
        facts = await self._survey()
        holders = [link.repository for link in facts.links if link.digest == damage.digest]
        repaired = ""
        for repository in holders:
            upstream = find_upstream(repository)
            if upstream and await self._repair.fetch(Digest.parse(damage.digest), repository, upstream):
                repaired = repository
                break
        self._add(replace(damage, affected=_affected(facts, damage.digest), repaired_from=repaired))

    async def _check_manifests(self, find_upstream: FindUpstream) -> None:
        facts = await self._survey()
        for repository, digest in await self._disk.survey(partial(find_damaged_manifests, self._catalog.path)):
            affected = tuple(fact for fact in facts.manifests if fact.key == (repository, digest))
            upstream = find_upstream(repository)
            mended = upstream and await self._repair.fetch_manifest(Digest.parse(digest), repository, upstream)
            problem = f"manifest {digest} of {repository} is damaged (DigestMismatch)"
            self._add(Damage(digest, problem, affected, repository if mended else ""))
        linked = {link.key for link in facts.links}
        for fact in facts.manifests:
            lacking = [one for one in fact.targets if (fact.repository, one) not in linked]
            # What is filled from an upstream gets its blobs when they are asked for.
            if lacking and not fact.is_index and find_upstream(fact.repository) is None:
                problem = f"manifest {fact.digest} of {fact.repository} is damaged (Incomplete): it lacks {lacking[0]}"
                self._add(Damage(fact.digest, problem, (fact,)))

    def _add(self, damage: Damage) -> None:
        if self.progress:
            self.progress = replace(self.progress, damages=(*self.progress.damages, damage))

    def _read_mark(self) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(self._catalog.find_mark(MARK) or "{}")
        return found

    async def _write_mark(self, **values: object) -> None:
        kept = {name: value for name, value in self._read_mark().items() if name == "ended"}
        text = orjson.dumps({**kept, **values}).decode()
        await self._disk.commit(partial(self._catalog.set_mark, MARK, text))


def _affected(facts: Facts, blob: str) -> tuple[ManifestFact, ...]:
    """The manifests that need a blob, and the indexes that name those."""
    images = [fact for fact in facts.manifests if not fact.is_index and blob in fact.targets]
    digests = {fact.digest for fact in images}
    indexes = [fact for fact in facts.manifests if fact.is_index and digests & set(fact.targets)]
    return tuple(images + indexes)
