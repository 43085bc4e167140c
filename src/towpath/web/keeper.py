"""The routes of the platform API about the registry's keeper, and what they answer."""

from dataclasses import dataclass
from typing import Any, Protocol

from starlette.requests import Request
from starlette.routing import Route

from towpath.aio.clock import format_rfc3339
from towpath.blueprint.model import Keeping
from towpath.registry.keeper.collection import Collected
from towpath.registry.keeper.findings import Damage, Progress
from towpath.registry.keeper.plan import Decision, Plan
from towpath.registry.keeper.quota import TOTAL
from towpath.registry.keeper.usage import Usage
from towpath.web.answers import Document, Guard, read_document

Needed = dict[tuple[str, str], tuple[str, ...]]


class Findings(Protocol):
    """What a collection found, and did; `collected` is None for a dry run."""

    @property
    def plan(self) -> Plan:
        """What goes and what stays."""
        ...

    @property
    def collected(self) -> Collected | None:
        """What was done."""
        ...


class Keeper(Protocol):
    """What a person may ask of the keeper."""

    async def collect(self, *, apply: bool, accepts_unseen: bool = False) -> Findings:
        """Plan, and do it when it is meant. Raises EvidenceError."""
        ...

    async def usage(self) -> tuple[Usage, Keeping]:
        """What the registry holds, and its limits."""
        ...

    def start_scrub(self, *, bytes_per_second: float | None = None) -> None:
        """Begin to read everything again."""
        ...

    def scrub_progress(self) -> Progress | None:
        """How far that is."""
        ...

    async def needed(self) -> Needed:
        """Why manifests are kept."""
        ...


@dataclass(frozen=True, slots=True)
class KeeperApi:
    """The routes; `guard` says who is let in."""

    guard: Guard
    keeper: Keeper

    def routes(self) -> list[Route]:
        """The routes, to be mounted at the root."""
        return self.guard.routes(
            reading={
                "/registry/usage": self._usage,
                "/registry/collections": self._plan,
                "/registry/scrubs": self._progress,
            },
            writing={"/registry/collections": self._collect, "/registry/scrubs": self._scrub},
        )

    async def _usage(self, request: Request) -> Document:
        del request
        usage, keeping = await self.keeper.usage()
        return usage_document(usage, keeping)

    async def _plan(self, request: Request) -> Document:
        del request
        found = await self.keeper.collect(apply=False)
        return collection_document(found.plan, None)

    async def _collect(self, request: Request) -> Document:
        accepts_unseen = (await read_document(request)).get("accept_unseen") is True
        found = await self.keeper.collect(apply=True, accepts_unseen=accepts_unseen)
        return collection_document(found.plan, found.collected)

    async def _scrub(self, request: Request) -> Document:
        await read_document(request)
        self.keeper.start_scrub()
        return {"started": True}

    async def _progress(self, request: Request) -> Document:
        del request
        progress = self.keeper.scrub_progress()
        if progress is None:
            return {"running": False, "damages": []}
        return scrub_document(progress, await self.keeper.needed() if progress.damages else {})


def usage_document(usage: Usage, keeping: Keeping) -> Document:
    """What the registry holds."""
    return {
        "total_bytes": usage.total_bytes,
        "blobs": usage.blobs,
        "quota": {name: keeping.quota[name] for name in sorted(keeping.quota, key=lambda name: (name != TOTAL, name))},
        "repositories": [
            {
                "repository": one.repository,
                "tags": one.tags,
                "manifests": one.manifests,
                "blobs": one.blobs,
                "own_bytes": one.own_bytes,
                "shared_bytes": one.shared_bytes,
            }
            for one in usage.repositories
        ],
    }


def collection_document(plan: Plan, collected: Collected | None) -> Document:
    """What goes and what stays, with the reasons."""
    document: Document = {
        "applied": collected is not None,
        "freed_bytes": plan.freed_bytes,
        "removed": len(plan.removed),
        "kept": len(plan.decisions) - len(plan.removed),
        "blobs": len(plan.blobs),
        "manifests": [decision_document(decision) for decision in plan.decisions],
        "held_blobs": [
            {"repository": link.repository, "digest": link.digest, "reason": reason.why, "evidence": reason.evidence}
            for link, reason in plan.held_blobs
        ],
        "missing": [
            {
                "repository": root.repository,
                "reference": root.reference,
                "reason": root.reason.why,
                "evidence": root.reason.evidence,
            }
            for root in plan.missing
        ],
        "unseen": plan.unseen,
    }
    if collected:
        document["collected"] = {
            "manifests": collected.manifests,
            "blobs_bytes": collected.blobs_bytes,
            "interrupted": collected.interrupted,
        }
    return document


def decision_document(decision: Decision) -> Document:
    """What becomes of one manifest."""
    fact = decision.fact
    return {
        "decision": "kept" if decision.is_kept else "removed",
        "repository": fact.repository,
        "digest": fact.digest,
        "tags": [tag.name for tag in fact.tags],
        "bytes": decision.image_bytes,
        "pushed": format_rfc3339(fact.pushed_at),
        "reasons": [{"reason": reason.why, "evidence": reason.evidence} for reason in decision.reasons],
        "removal": decision.removal,
    }


def scrub_document(progress: Progress, needed: Needed) -> Document:
    """How far a scrub is, and what it found."""
    return {
        "running": progress.finished_at is None,
        "started": format_rfc3339(progress.started_at),
        "finished": None if progress.finished_at is None else format_rfc3339(progress.finished_at),
        "checked": progress.checked,
        "checked_bytes": progress.checked_bytes,
        "total_bytes": progress.total_bytes,
        "damages": [_damage_document(damage, needed) for damage in progress.damages],
    }


def _damage_document(damage: Damage, needed: Needed) -> dict[str, Any]:
    return {
        "digest": damage.digest,
        "problem": damage.problem,
        "repaired_from": damage.repaired_from,
        "affected": [
            {
                "repository": fact.repository,
                "digest": fact.digest,
                "tags": [tag.name for tag in fact.tags],
                "needed": list(needed.get(fact.key, ())),
            }
            for fact in damage.affected
        ],
    }
