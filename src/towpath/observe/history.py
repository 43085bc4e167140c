"""`history`: deployments, promotions and rollbacks, newest first; from commits and their notes alone.

promote, rollback   a commit of ours with trailers
pin                 a commit that names another version in an overlay by hand
deploy              a followed channel that an environment took up; dated by its first verdict
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from towpath.blueprint.model import Blueprint, Environment
from towpath.observe.sources import Sources
from towpath.oci.tags import is_channel, sha_tag
from towpath.promote.ledger import Entry, read_ledger
from towpath.promote.pins import Pin
from towpath.promote.releases import Release, read_releases
from towpath.promote.trailers import Act
from towpath.reconcile.verdicts import Verdict, parse_record


@dataclass(frozen=True, slots=True)
class _Move:
    service: str
    tag: str
    previous: str
    digest: str = ""
    revision: str = ""

    def document(self) -> dict[str, str]:
        return {
            "service": self.service,
            "tag": self.tag,
            "previous": self.previous,
            "digest": self.digest,
            "revision": self.revision,
        }


async def describe_history(
    sources: Sources, *, environment: str = "", service: str = "", limit: int = 20
) -> dict[str, Any]:
    """Up to `limit` entries as JSON values.

    Raises:
        NotFoundError: no such environment or service.
        BlueprintError: the blueprint at the head is broken.
    """
    blueprint = await sources.blueprint()
    if blueprint is None:
        return {"entries": []}
    if service:
        blueprint.get_service(service)
    chosen = _environments(blueprint, environment)
    ledger = await read_ledger(sources.repository, sources.branch, overlays=[known.overlay for known in chosen])
    entries = [_promotion(sources, entry) for entry in ledger]
    own_commits = {entry.commit.id for entry in ledger}
    begun = await _first_verdicts(sources)
    for known in chosen:
        releases = await read_releases(sources.repository, sources.branch, known, limit=limit + 1)
        entries += _pins_by_hand(sources, blueprint, releases, own_commits)
        entries += _deployments(sources.verdicts.of_environment(known.name), begun)
    wanted = [
        entry
        for entry in entries
        if environment in ("", entry["environment"]) and (not service or _concerns(entry, service))
    ]
    return {"entries": sorted(wanted, key=lambda entry: entry["at"], reverse=True)[:limit]}


def _environments(blueprint: Blueprint, name: str) -> list[Environment]:
    return [blueprint.get_environment(name)] if name else list(blueprint.environments.values())


def _promotion(sources: Sources, entry: Entry) -> dict[str, Any]:
    record = entry.record
    verdicts = [
        sources.verdicts.find_last_known(record.environment, move.service, move.digest) for move in record.moves
    ]
    moves = [_Move(move.service, move.tag, move.previous, move.digest, move.revision) for move in record.moves]
    return {
        "at": entry.commit.committed_at,
        "environment": record.environment,
        "act": record.act.value,
        "commit": entry.commit.id,
        "by": record.by or entry.commit.author,
        "gate": record.gate,
        "verdict": _worst(verdicts),
        "reason": _reason(verdicts),
        "moves": [move.document() for move in moves],
        "quarantined": [{"service": name, "digest": digest} for name, digest in record.quarantined]
        if record.act is Act.ROLLBACK
        else [],
    }


def _pins_by_hand(
    sources: Sources, blueprint: Blueprint, releases: Sequence[Release], own_commits: set[str]
) -> list[dict[str, Any]]:
    """The releases that are no commit of ours; each is compared with the one before it (the list is newest first)."""
    found = []
    for place, release in enumerate(releases):
        before: Mapping[str, str] = releases[place + 1].tags if place + 1 < len(releases) else {}
        if release.commit.id in own_commits:
            continue
        changed = [
            (_service_of(pin, blueprint), pin.tag, before.get(name, ""))
            for name, pin in release.pins.items()
            if name in release.tags and not is_channel(pin.tag) and pin.tag != before.get(name)
        ]
        if changed:
            known = sources.verdicts.of_environment(release.environment)
            verdicts = [_find_verdict(known, service, tag) for service, tag, _ in changed]
            moves = [
                _Move(service, tag, previous, verdict.digest if verdict else "", verdict.revision if verdict else "")
                for (service, tag, previous), verdict in zip(changed, verdicts, strict=True)
            ]
            found.append(
                {
                    "at": release.commit.committed_at,
                    "environment": release.environment,
                    "act": "pin",
                    "commit": release.commit.id,
                    "by": release.commit.author,
                    "gate": "",
                    "verdict": _worst(verdicts),
                    "reason": _reason(verdicts),
                    "moves": [move.document() for move in moves],
                    "quarantined": [],
                }
            )
    return found


def _deployments(verdicts: Sequence[Verdict], begun: Mapping[tuple[str, str, str], float]) -> list[dict[str, Any]]:
    """What an environment took up of a channel that it follows, each with what it ran before."""

    def began(verdict: Verdict) -> float:
        key = (verdict.environment, verdict.service, verdict.digest)
        return min(begun.get(key, verdict.since), verdict.since)

    found: list[dict[str, Any]] = []
    previous: dict[str, str] = {}
    for verdict in sorted(verdicts, key=began):
        tag = sha_tag(verdict.revision) if verdict.revision else verdict.tag
        if is_channel(verdict.tag):
            move = _Move(verdict.service, tag, previous.get(verdict.service, ""), verdict.digest, verdict.revision)
            found.append(
                {
                    "at": began(verdict),
                    "environment": verdict.environment,
                    "act": "deploy",
                    "commit": verdict.revision,
                    "by": "",
                    "gate": "",
                    "verdict": verdict.outcome.value,
                    "reason": verdict.reason,
                    "moves": [move.document()],
                    "quarantined": [],
                }
            )
        previous[verdict.service] = tag
    return found


async def _first_verdicts(sources: Sources) -> dict[tuple[str, str, str], float]:
    """When each release was first judged, by (environment, service, digest); a verdict itself has its last moment."""
    begun: dict[tuple[str, str, str], float] = {}
    for lines in (await sources.repository.all_notes()).values():
        for line in lines:
            parsed = parse_record(line)
            if parsed is not None:
                key = (parsed[1].environment, parsed[1].service, parsed[1].digest)
                begun[key] = min(begun.get(key, parsed[1].since), parsed[1].since)
    return begun


def _service_of(pin: Pin, blueprint: Blueprint) -> str:
    return next((name for name in blueprint.services if blueprint.image(name) == pin.repository), pin.name)


def _find_verdict(verdicts: Sequence[Verdict], service: str, tag: str) -> Verdict | None:
    return next((one for one in verdicts if one.service == service and tag in (one.tag, sha_tag(one.revision))), None)


def _worst(verdicts: Sequence[Verdict | None]) -> str:
    outcomes = {verdict.outcome.value if verdict else "pending" for verdict in verdicts}
    return next((word for word in ("degraded", "rolled-back", "pending", "healthy") if word in outcomes), "pending")


def _reason(verdicts: Sequence[Verdict | None]) -> str:
    return next((verdict.reason for verdict in verdicts if verdict and verdict.reason), "")


def _concerns(entry: dict[str, Any], service: str) -> bool:
    return any(move["service"] == service for move in entry["moves"])
