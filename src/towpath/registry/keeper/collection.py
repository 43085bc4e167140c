"""Carries out a collection while pushes and pulls go on. What goes is `plan`'s decision; here is only the doing.

1. Gather evidence; without it nothing goes. 2. Take a snapshot of the catalog, and plan. 3. Remove manifests, an index
before its entries, some at a time and one repository at a time. 4. Take the blobs that nothing needs from their
repositories, in the same way, and remove files that nobody has then.

Every piece is one short transaction that looks again at what it removes; between two pieces the catalog's worker serves
whoever waits. When the evidence has changed since the plan (a promotion, say), the collection ends early. It may be
killed at any instruction: what is done is done, what is not is found by the next one.
"""

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from towpath.aio.clock import Clock
from towpath.oci.digest import Digest
from towpath.registry.errors import StorageFullError
from towpath.registry.keeper.evidence import Evidence, EvidenceError
from towpath.registry.keeper.facts import Facts, LinkFact, ManifestFact
from towpath.registry.keeper.plan import Plan, plan_collection, removal_rounds
from towpath.registry.keeper.policy import Policy
from towpath.registry.leases import Leases
from towpath.registry.storage.catalog import Catalog
from towpath.registry.storage.disk import Disk
from towpath.registry.storage.files import BlobFiles
from towpath.registry.storage.removal import remove_links, remove_manifests
from towpath.registry.storage.reserve import Reserve
from towpath.registry.storage.survey import read_facts

log = logging.getLogger(__name__)

F = TypeVar("F", ManifestFact, LinkFact)
MARK = "collected"
# 32: about ten milliseconds of the catalog's worker, which is what a push may have to wait for a piece.
PIECE = 32


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection has done. `interrupted` says why it ended early; empty when it did not."""

    manifests: int = 0
    blobs_bytes: int = 0
    interrupted: str = ""


class Collector:
    """Collects one registry; one collection at a time."""

    def __init__(
        self, *, catalog: Catalog, files: BlobFiles, disk: Disk, leases: Leases, reserve: Reserve, clock: Clock
    ) -> None:
        self._catalog = catalog
        self._files = files
        self._disk = disk
        self._leases = leases
        self._reserve = reserve
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()

    def find_last_end(self) -> float | None:
        """When a whole collection last ended, also before a restart."""
        noted = self._catalog.find_mark(MARK)
        return float(noted) if noted else None

    async def survey(self) -> Facts:
        """What is there at this moment."""
        touches, began = self._leases.touches(), self._leases.complete_since()
        read = partial(read_facts, self._catalog.path, touches=touches, started_at=began)
        return await self._disk.survey(read)

    async def plan(self, evidence: Evidence, policy: Policy) -> Plan:
        """What a collection would do. Raises EvidenceError, StorageError."""
        now = self._clock.now()
        roots = await evidence.gather()
        facts = await self.survey()
        return await self._disk.survey(partial(plan_collection, facts, roots, policy, now=now))

    async def collect(
        self, evidence: Evidence, policy: Policy, *, accepts_unseen: bool = False
    ) -> tuple[Plan, Collected]:
        """Plan, and do it.

        Args:
            evidence: tells what is needed.
            policy: tells what is kept beyond that.
            accepts_unseen: whether somebody vouches that nothing is needed where evidence may not look.

        Raises:
            EvidenceError: nothing was removed.
            StorageError: the disk failed; what was removed is removed.
        """
        async with self._one_at_a_time:
            since = self._leases.moment()
            plan = await self.plan(evidence, policy)
            if plan.unseen and not accepts_unseen:
                raise EvidenceError(
                    f"collection was refused (NoEvidence): the platform's account may not see {plan.unseen}",
                    hint="let it list these in all namespaces; or, if nothing there runs images of this registry: "
                    "towpath registry collect --apply --accept-unseen",
                )
            try:
                collected = await self._apply(plan, evidence, since)
                if not collected.interrupted:
                    await self._disk.commit(partial(self._catalog.set_mark, MARK, str(self._clock.now())))
            finally:
                await self._disk.survey(self._reserve.refill)
            return plan, collected

    async def _apply(self, plan: Plan, evidence: Evidence, since: float) -> Collected:
        manifests = freed = 0
        for facts in _pieces(removal_rounds(plan.removed)):
            if await evidence.find_mark() != plan.mark:
                reason = "what is needed has changed since the plan was made; collect again"
                log.info("collection ended early: %s", reason)
                return Collected(manifests, freed, reason)
            manifests += await self._commit(partial(remove_manifests, self._catalog, facts, self._leases, since=since))
        for links in _pieces([plan.links]):
            work = partial(remove_links, self._catalog, links, self._leases, since=since)
            freed += await self._commit(partial(work, remove_files=self._remove_files))
        return Collected(manifests, freed)

    async def _commit(self, work: Callable[[], int]) -> int:
        try:
            return await self._disk.commit(work)
        except StorageFullError:
            if not await self._disk.survey(self._reserve.release):
                raise
            log.info("the disk is full: the registry's reserve is used to empty it")
            return await self._disk.commit(work)

    def _remove_files(self, digests: Iterable[str]) -> None:
        for digest in digests:
            self._files.remove(Digest.parse(digest))


def _pieces(rounds: Iterable[Iterable[F]]) -> Iterator[list[F]]:
    """Pieces of one repository each, round after round."""
    for members in rounds:
        ordered = sorted(members, key=lambda fact: fact.key)
        for _, of_repository in itertools.groupby(ordered, key=lambda fact: fact.repository):
            while piece := list(itertools.islice(of_repository, PIECE)):
                yield piece
