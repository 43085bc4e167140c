"""The keeper of a platform's registry: settings of the blueprint, evidence of the platform, and what runs by itself.

Every day, when the owner has switched it on, a collection; every week, slowly, a scrub that goes on where it stopped.
Both are begun by the clock of the platform and can be asked for at any time.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from towpath.aio.clock import Clock
from towpath.aio.tasks import Background
from towpath.amounts import format_age, format_size
from towpath.blueprint.model import Blueprint, Keeping
from towpath.errors import TowpathError
from towpath.registry.keeper.collection import Collected
from towpath.registry.keeper.evidence import Evidence
from towpath.registry.keeper.findings import Progress
from towpath.registry.keeper.plan import Plan
from towpath.registry.keeper.policy import Policy
from towpath.registry.keeper.quota import TOTAL, Quota
from towpath.registry.keeper.repair import FindUpstream
from towpath.registry.keeper.usage import Usage, count_usage
from towpath.registry.service import Registry
from towpath.server.doctor import OK, PROBLEM, WARNING, Check

log = logging.getLogger(__name__)

DAY_SECONDS = 86_400.0
# The first look after a start: late enough not to be in the way of it.
FIRST_LOOK_SECONDS = 900.0
LOOK_SECONDS = 3600.0
# 8 MiB a second: a hundredth of what a small disk does, and 20 GiB in three quarters of an hour.
SCRUB_BYTES_PER_SECOND = 8 * 1024 * 1024
# Less than this is not worth a person's attention.
WORTH_TELLING_BYTES = 64 * 1024 * 1024

FindBlueprint = Callable[[], Awaitable[Blueprint | None]]


@dataclass(frozen=True, slots=True)
class Findings:
    """What a plan says, and what was done of it; `collected` is None for a dry run."""

    plan: Plan
    collected: Collected | None


class Keeper:
    """Keeps one registry."""

    def __init__(
        self,
        registry: Registry,
        evidence: Evidence,
        *,
        blueprint: FindBlueprint,
        clock: Clock,
        find_upstream: FindUpstream = lambda _: None,
    ) -> None:
        """`blueprint` tells the one at the head of the branch; `find_upstream` where damage is mended from."""
        self._registry = registry
        self._evidence = evidence
        self._blueprint = blueprint
        self._clock = clock
        self._find_upstream = find_upstream
        self._background = Background()
        self._scrubbing: asyncio.Task[None] | None = None
        self._is_slow = False

    async def run(self) -> None:
        """Look after the registry, for ever; it must be open."""
        await self._clock.sleep(FIRST_LOOK_SECONDS)
        while True:
            try:
                await self._look()
            except TowpathError as error:
                log.warning("registry keeper: %s", error.message)
            await self._clock.sleep(LOOK_SECONDS)

    async def close(self) -> None:
        """End a scrub that is going on; the next one goes on there."""
        await self._background.close()

    async def collect(self, *, apply: bool, accepts_unseen: bool = False) -> Findings:
        """Plan a collection, and do it when it is meant. Raises EvidenceError, BlueprintError, StorageError."""
        policy = policy_of(await self._keeping())
        collector = self._registry.collector
        if not apply:
            return Findings(await collector.plan(self._evidence, policy), None)
        plan, collected = await collector.collect(self._evidence, policy, accepts_unseen=accepts_unseen)
        log.info(
            "registry collected: %d manifests and %s of blobs", collected.manifests, format_size(collected.blobs_bytes)
        )
        return Findings(plan, collected)

    async def usage(self) -> tuple[Usage, Keeping]:
        """What the registry holds, and its limits. Raises StorageError."""
        return count_usage(await self._registry.collector.survey()), await self._keeping()

    def start_scrub(self, *, bytes_per_second: float | None = None) -> None:
        """Begin to read everything again, unless somebody has asked for that already; a slow one gives way."""
        if self._scrubbing is not None and not self._scrubbing.done():
            if not self._is_slow:
                return
            self._scrubbing.cancel()
        self._is_slow = False
        self._scrubbing = self._begin_scrub(bytes_per_second, resume=False)

    def scrub_progress(self) -> Progress | None:
        """How far the scrub is, or what the last one found; None when there was none yet."""
        return self._registry.scrub.progress

    async def needed(self) -> dict[tuple[str, str], tuple[str, ...]]:
        """Why manifests are kept, by repository and digest; empty when evidence cannot be had."""
        try:
            plan = await self._registry.collector.plan(self._evidence, policy_of(await self._keeping()))
        except TowpathError:
            return {}
        return {
            decision.fact.key: tuple(f"{reason.why}: {reason.evidence}" for reason in decision.reasons)
            for decision in plan.decisions
        }

    async def examine(self) -> list[Check]:
        """What `doctor` says of it."""
        checks = []
        progress = self.scrub_progress()
        harmed = [one for one in (progress.damages if progress else ()) if not one.repaired_from]
        if harmed:
            evidence = f"{len(harmed)} damaged: {harmed[0].problem}"
            checks.append(Check("registry content", PROBLEM, evidence, "towpath registry scrub"))
        try:
            checks.append(await self._examine_garbage())
        except TowpathError as error:
            checks.append(Check("registry keeper", WARNING, error.message, error.hint))
        return checks

    async def _examine_garbage(self) -> Check:
        if await self._blueprint() is None:
            return Check("registry keeper", OK, "nothing was pushed yet")
        keeping = await self._keeping()
        plan = await self._registry.collector.plan(self._evidence, policy_of(keeping))
        freed = format_size(plan.freed_bytes)
        if plan.unseen and keeping.collects_daily:
            step = "let the platform's account list these in all namespaces (docs/registry.md)"
            return Check("registry keeper", WARNING, f"does not collect daily: it may not see {plan.unseen}", step)
        if keeping.collects_daily:
            ended = self._registry.collector.find_last_end()
            last = "" if ended is None else f", last {format_age(self._clock.now() - ended)} ago"
            return Check("registry keeper", OK, f"collects daily{last}; {freed} could be freed")
        if plan.freed_bytes < WORTH_TELLING_BYTES:
            return Check("registry keeper", OK, f"{freed} could be freed")
        evidence = f"{freed} of {len(plan.removed)} manifests could be freed"
        return Check("registry keeper", WARNING, evidence, "towpath registry collect, or keeper: {collect: daily}")

    async def _look(self) -> None:
        keeping = await self._keeping()
        await self._scrub_when_due(keeping)
        ended = self._registry.collector.find_last_end()
        if keeping.collects_daily and (ended is None or self._clock.now() - ended >= DAY_SECONDS):
            await self.collect(apply=True)

    async def _scrub_when_due(self, keeping: Keeping) -> None:
        ended = self._registry.scrub.find_last_end()
        due = keeping.scrub_seconds is not None and (
            ended is None or self._clock.now() - ended >= keeping.scrub_seconds
        )
        if due and (self._scrubbing is None or self._scrubbing.done()):
            self._is_slow = True
            self._scrubbing = self._begin_scrub(SCRUB_BYTES_PER_SECOND, resume=True)

    def _begin_scrub(self, bytes_per_second: float | None, *, resume: bool) -> asyncio.Task[None]:
        async def run() -> None:
            progress = await self._registry.scrub.run(
                bytes_per_second=bytes_per_second, find_upstream=self._find_upstream, resume=resume
            )
            log.info("registry scrubbed: %d blobs, %d damaged", progress.checked, len(progress.damages))

        return self._background.run_once("registry scrub", run)

    async def _keeping(self) -> Keeping:
        blueprint = await self._blueprint()
        return blueprint.keeping if blueprint else Keeping()


def quota_of(keeping: Keeping) -> Quota:
    """The quota that a blueprint sets."""
    return Quota(keeping.quota.get(TOTAL), {glob: limit for glob, limit in keeping.quota.items() if glob != TOTAL})


def policy_of(keeping: Keeping) -> Policy:
    """The policy that a blueprint asks for."""
    return Policy(grace_seconds=keeping.grace_seconds, newest_sets=keeping.sets, outside_tags=keeping.outside_tags)
