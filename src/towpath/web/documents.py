"""Requests and outcomes of promotion and rollback as JSON: the wire names, in one place."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from towpath.errors import UserError
from towpath.promote.preview import ObjectDiff
from towpath.promote.promotion import PromotionOutcome, PromotionRequest
from towpath.promote.rollback import RollbackOutcome, RollbackRequest
from towpath.reconcile.changes import ChangeSet

Document = dict[str, Any]
# One screen line of a value: a diff is for people; the whole is in Git.
SHOWN_CHARACTERS = 400


def promotion_request(body: Document) -> PromotionRequest:
    """A request as the command line sends it. Raises UserError."""
    services = body.get("services")
    if not isinstance(services, list) or not services or not all(isinstance(name, str) for name in services):
        raise UserError("promotion request cannot be read (Services): a list of service names is expected")
    return PromotionRequest(
        services=tuple(services),
        environment=_text(body, "environment"),
        version=_text(body, "version"),
        by=_text(body, "by"),
        dry_run=bool(body.get("dry_run")),
        allow_downgrade=bool(body.get("allow_downgrade")),
    )


def rollback_request(body: Document) -> RollbackRequest:
    """A request as the command line sends it. Raises UserError."""
    return RollbackRequest(
        environment=_text(body, "environment"),
        to=_text(body, "to"),
        reason=_text(body, "reason"),
        by=_text(body, "by"),
        dry_run=bool(body.get("dry_run")),
    )


def promotion_document(outcome: PromotionOutcome) -> Document:
    """What came of a promotion."""
    return {
        "environment": outcome.environment,
        "verdict": outcome.verdict.value,
        "commit": outcome.commit,
        "moves": [asdict(move) for move in outcome.moves],
        "gates": {
            service: [
                {
                    "check": result.check,
                    "verdict": result.verdict.value,
                    "evidence": result.evidence,
                    "next": result.next_step,
                }
                for result in report.results
            ]
            for service, report in outcome.gates.items()
        },
        "diff": objects_document(outcome.diff),
    }


def rollback_document(outcome: RollbackOutcome) -> Document:
    """What came of a rollback."""
    return {
        "environment": outcome.environment,
        "release": outcome.release.commit.id,
        "commit": outcome.commit,
        "moves": [asdict(move) for move in outcome.moves],
        "quarantined": [list(pair) for pair in outcome.quarantined],
        "skipped": [asdict(skipped) for skipped in outcome.skipped],
    }


def change_set_document(environment: str, change_set: ChangeSet) -> Document:
    """How an environment differs from Git: what a reconciliation would do."""
    writes = [ObjectDiff(change.key, change.action.value, change.fields) for change in change_set.writes]
    return {"environment": environment, "objects": objects_document(writes)}


def objects_document(diffs: Iterable[ObjectDiff]) -> list[Document]:
    """Changed objects, field by field."""
    return [
        {
            "object": str(diff.key),
            "action": diff.action,
            "changes": [
                {"path": change.path, "before": _shown(change.before), "after": _shown(change.after)}
                for change in diff.changes
            ],
        }
        for diff in diffs
    ]


def _shown(value: object) -> str | None:
    if value is None:
        return None
    text = str(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}… ({len(text)} characters)"


def _text(body: Document, name: str) -> str:
    value = body.get(name, "")
    if not isinstance(value, str):
        raise UserError(f"request cannot be read ({name}): a text is expected, got {type(value).__name__}")
    return value
