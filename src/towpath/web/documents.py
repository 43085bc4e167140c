"""Requests and outcomes of promotion and rollback as JSON: the wire names, in one place."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from towpath.errors import UserError
from towpath.promote.preview import ObjectDiff
from towpath.promote.promotion import PromotionOutcome, PromotionRequest
from towpath.promote.rollback import RollbackOutcome, RollbackRequest
from towpath.reconcile.changes import ChangeSet

Document = dict[str, Any]
# One screen line of a value: a diff is for people; the whole is in Git.
SHOWN_CHARACTERS = 400
# A year: what is held longer has been left.
LONGEST_HOLD_SECONDS = 365 * 86400
DEFAULT_HOLD_SECONDS = 3600.0


def promotion_request(body: Document) -> PromotionRequest:
    """A request as the command line sends it. Raises UserError."""
    services = body.get("services")
    if not isinstance(services, list) or not services or not all(isinstance(name, str) for name in services):
        raise UserError("promotion request cannot be read (Services): a list of service names is expected")
    return PromotionRequest(
        services=tuple(services),
        environment=text_field(body, "environment"),
        version=text_field(body, "version"),
        by=text_field(body, "by"),
        dry_run=bool(body.get("dry_run")),
        allow_downgrade=bool(body.get("allow_downgrade")),
    )


def rollback_request(body: Document) -> RollbackRequest:
    """A request as the command line sends it. Raises UserError."""
    return RollbackRequest(
        environment=text_field(body, "environment"),
        to=text_field(body, "to"),
        reason=text_field(body, "reason"),
        by=text_field(body, "by"),
        dry_run=bool(body.get("dry_run")),
    )


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """What a person asks for: to pause automation for so many seconds, or to go on."""

    environment: str
    release: bool = False
    seconds: float = DEFAULT_HOLD_SECONDS
    reason: str = ""
    by: str = ""


def hold_request(body: Document) -> HoldRequest:
    """A request as the command line sends it. Raises UserError."""
    seconds = body.get("seconds", DEFAULT_HOLD_SECONDS)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= LONGEST_HOLD_SECONDS:
        raise UserError(
            f"hold cannot be read (seconds): got {seconds!r}, expected a number above 0, at most {LONGEST_HOLD_SECONDS}"
        )
    return HoldRequest(
        environment=text_field(body, "environment"),
        release=bool(body.get("release")),
        seconds=float(seconds),
        reason=text_field(body, "reason"),
        by=text_field(body, "by"),
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


def text_field(body: Document, name: str) -> str:
    """A text of a request; empty when it is left out. Raises UserError."""
    value = body.get(name, "")
    if not isinstance(value, str):
        raise UserError(f"request cannot be read ({name}): a text is expected, got {type(value).__name__}")
    return value
