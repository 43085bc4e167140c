"""`history`: deployments, promotions and rollbacks, newest first; from commits and their notes alone."""

from typing import Any

from towpath.observe.sources import Sources
from towpath.observe.timeline import Waterfall
from towpath.oci.tags import sha_tag
from towpath.promote.ledger import Entry, read_ledger
from towpath.promote.trailers import Act
from towpath.reconcile.verdicts import Verdict


async def describe_history(
    sources: Sources, *, environment: str = "", service: str = "", limit: int = 20
) -> dict[str, Any]:
    """Up to `limit` entries as JSON values."""
    blueprint = await sources.blueprint()
    if blueprint is None:
        return {"entries": []}
    overlays = [known.overlay for known in blueprint.environments.values()]
    entries = [
        _promotion(sources, entry) for entry in await read_ledger(sources.repository, sources.branch, overlays=overlays)
    ]
    followers = [name for name in blueprint.environments if environment in ("", name)]
    recorded = {(entry["environment"], move["service"], move["tag"]) for entry in entries for move in entry["moves"]}
    for name in followers:
        entries += _deployments(sources.verdicts.of_environment(name), recorded)
    chosen = [
        entry
        for entry in entries
        if environment in ("", entry["environment"]) and (not service or _concerns(entry, service))
    ]
    return {"entries": sorted(chosen, key=lambda entry: entry["at"], reverse=True)[:limit]}


async def describe_timeline(sources: Sources, *, environment: str = "", limit: int = 20) -> dict[str, Any]:
    """The waterfalls of the last pushes, newest first, as JSON values."""
    blueprint = await sources.blueprint()
    names = [environment] if environment else list(blueprint.environments) if blueprint else []
    waterfalls = [waterfall for name in names for waterfall in sources.timeline.recent(name, limit)]
    waterfalls.sort(key=lambda waterfall: waterfall.received_at, reverse=True)
    return {"waterfalls": [await _waterfall(sources, waterfall) for waterfall in waterfalls[:limit]]}


def _promotion(sources: Sources, entry: Entry) -> dict[str, Any]:
    record = entry.record
    verdicts = [
        sources.verdicts.find_last_known(record.environment, move.service, move.digest) for move in record.moves
    ]
    return {
        "at": entry.commit.committed_at,
        "environment": record.environment,
        "act": record.act.value,
        "commit": entry.commit.id,
        "by": record.by or entry.commit.author,
        "gate": record.gate,
        "verdict": _worst(verdicts),
        "reason": next((verdict.reason for verdict in verdicts if verdict and verdict.reason), ""),
        "moves": [
            {
                "service": move.service,
                "tag": move.tag,
                "previous": move.previous,
                "digest": move.digest,
                "revision": move.revision,
            }
            for move in record.moves
        ],
        "quarantined": [{"service": name, "digest": digest} for name, digest in record.quarantined]
        if record.act is Act.ROLLBACK
        else [],
    }


def _deployments(verdicts: list[Verdict], recorded: set[tuple[str, str, str]]) -> list[dict[str, Any]]:
    """What an environment took up without a promotion: a followed channel, or a pin set by hand."""
    found: list[dict[str, Any]] = []
    previous: dict[str, str] = {}
    for verdict in verdicts:
        tag = sha_tag(verdict.revision) if verdict.revision else verdict.tag
        if (verdict.environment, verdict.service, tag) not in recorded:
            move = {"service": verdict.service, "tag": tag, "previous": previous.get(verdict.service, "")}
            found.append(
                {
                    "at": verdict.since,
                    "environment": verdict.environment,
                    "act": "deploy",
                    "commit": verdict.revision,
                    "by": "",
                    "gate": "",
                    "verdict": verdict.outcome.value,
                    "reason": verdict.reason,
                    "moves": [{**move, "digest": verdict.digest, "revision": verdict.revision}],
                    "quarantined": [],
                }
            )
        previous[verdict.service] = tag
    return found


def _worst(verdicts: list[Verdict | None]) -> str:
    outcomes = {verdict.outcome.value if verdict else "pending" for verdict in verdicts}
    return next((word for word in ("degraded", "rolled-back", "pending", "healthy") if word in outcomes), "pending")


def _concerns(entry: dict[str, Any], service: str) -> bool:
    return any(move["service"] == service for move in entry["moves"])


async def _waterfall(sources: Sources, waterfall: Waterfall) -> dict[str, Any]:
    commit = await sources.find_commit(waterfall.commit)
    return {
        "commit": waterfall.commit,
        "subject": commit.subject if commit else "",
        "environment": waterfall.environment,
        "received_at": waterfall.received_at,
        "total_seconds": waterfall.total_seconds,
        "ready": waterfall.is_ready,
        "spans": [
            {"stage": span.stage, "start": span.start_seconds, "end": span.end_seconds} for span in waterfall.spans
        ],
    }
