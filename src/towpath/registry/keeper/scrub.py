"""Looks for bit rot: reads every blob and every manifest again, and compares them with their digests.

1. Blobs, in the order of their digests, from where the last run stopped; at most so many bytes a second.
2. A damaged file is moved aside, so that nobody gets it, and the next push (or step 3) heals it.
3. An upstream that has the blob, if the owner has set one, gives it again.
4. Manifests, at the end of a run: those that are damaged, which the upstream gives again, and those that lack a blob.

Where it is and what it has found are kept in the catalog (`findings`), so that a restart forgets neither.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

import orjson

from towpath.aio.clock import Clock
from towpath.oci.digest import Digest
from towpath.registry.errors import DamagedContentError
from towpath.registry.keeper.facts import Facts, ManifestFact
from towpath.registry.keeper.findings import Damage, Progress, format_progress, parse_progress
from towpath.registry.keeper.repair import FindUpstream, Repair
from towpath.registry.storage.catalog import Catalog
from towpath.registry.storage.disk import Disk
from towpath.registry.storage.files import PIECE_BYTES, BlobFiles
from towpath.registry.storage.survey import find_damaged_manifests

log = logging.getLogger(__name__)

MARK = "scrub"
# Written at most once for so many bytes: a restart reads them twice, and flash is spared.
MARK_BYTES = 256 * 1024 * 1024
# 100: each is noted when it is found; on a disk that is dying, the rest with the next mark.
NOTED_AT_ONCE = 100

Survey = Callable[[], Awaitable[Facts]]


class Scrub:
    """Scrubs one registry."""

    def __init__(
        self, *, catalog: Catalog, files: BlobFiles, disk: Disk, clock: Clock, survey: Survey, repair: Repair
    ) -> None:
        """`survey` tells what is in the registry, for saying what a damage affects.

        Raises:
            StorageError: the catalog cannot be read.
        """
        self._catalog = catalog
        self._files = files
        self._disk = disk
        self._clock = clock
        self._survey = survey
        self._repair = repair
        self.progress: Progress | None = self._find_noted()

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
        every = self._catalog.blobs()
        blobs = [(digest, size) for digest, size in every if digest > after]
        found = self._still_there(dict(every)) if after else ()
        self.progress = Progress(self._clock.now(), total_bytes=sum(size for _, size in blobs), damages=found)
        unmarked = 0
        for text, size in blobs:
            damage = await self._check(Digest.parse(text), size, bytes_per_second)
            if damage:
                await self._report(damage, find_upstream)
            now = self.progress
            self.progress = replace(now, checked=now.checked + 1, checked_bytes=now.checked_bytes + size)
            unmarked += size
            if unmarked >= MARK_BYTES or (damage and len(self.progress.damages) <= NOTED_AT_ONCE):
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

    def _find_noted(self) -> Progress | None:
        noted = self._read_mark().get("progress")
        return parse_progress(noted) if noted else None

    def _still_there(self, sizes: dict[str, int]) -> tuple[Damage, ...]:
        """What an interrupted run has found, without what was healed by a push, or collected, since."""
        noted = self._find_noted()
        return tuple(
            damage
            for damage in (noted.damages if noted else ())
            if damage.digest in sizes
            and (damage.repaired_from or self._files.find_size(Digest.parse(damage.digest)) != sizes[damage.digest])
        )

    def _read_mark(self) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(self._catalog.find_mark(MARK) or "{}")
        return found

    async def _write_mark(self, **values: object) -> None:
        kept = {name: value for name, value in self._read_mark().items() if name == "ended"}
        noted = {"progress": format_progress(self.progress)} if self.progress else {}
        text = orjson.dumps({**kept, **noted, **values}).decode()
        await self._disk.commit(partial(self._catalog.set_mark, MARK, text))


def _affected(facts: Facts, blob: str) -> tuple[ManifestFact, ...]:
    """The manifests that need a blob, and the indexes that name those."""
    images = [fact for fact in facts.manifests if not fact.is_index and blob in fact.targets]
    digests = {fact.digest for fact in images}
    indexes = [fact for fact in facts.manifests if fact.is_index and digests & set(fact.targets)]
    return tuple(images + indexes)
