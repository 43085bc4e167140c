"""What CI did for a commit, in words for people and in JSON for `events` and `explain`."""

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Self


class Outcome(StrEnum):
    """How a run for a commit ended."""

    PUBLISHED = "published"
    RETRYING = "retrying"
    FAILED = "failed"


class ServiceOutcome(StrEnum):
    """What became of one service in a run."""

    BUILT = "built"
    CARRIED = "carried"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ServiceReport:
    """One service in a run.

    Attributes:
        service: its name.
        outcome: what became of it.
        reason: why it was built; empty for a carried one.
        cached: whether its layer was there already.
        digest: of the image; empty when there is none.
        revision: the commit that built the image.
        seconds: from the export to the push.
        error: what went wrong, with the next step; empty when nothing did.
        warnings: what a person should know all the same.
    """

    service: str
    outcome: ServiceOutcome
    reason: str = ""
    cached: bool = False
    digest: str = ""
    revision: str = ""
    seconds: float = 0.0
    error: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CiReport:
    """One run.

    Attributes:
        commit: the full id.
        outcome: how it ended.
        started_at: wall time in seconds since the epoch.
        seconds: how long it took.
        attempt: counts from 1.
        tag: the artifact tag.
        channel: the channel that is at this commit because of the run; empty when it stayed elsewhere.
        services: by name.
        removed: services that the commit no longer has.
        error: what kept the set from being published, with the next step.
    """

    commit: str
    outcome: Outcome
    started_at: float
    seconds: float = 0.0
    attempt: int = 1
    tag: str = ""
    channel: str = ""
    services: tuple[ServiceReport, ...] = ()
    removed: tuple[str, ...] = ()
    error: str = ""

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """The inverse of `to_json`. Raises TypeError, KeyError or ValueError for anything else."""
        services = [
            replace(
                ServiceReport(**entry),
                outcome=ServiceOutcome(entry["outcome"]),
                warnings=tuple(entry.get("warnings", ())),
            )
            for entry in document["services"]
        ]
        report = cls(**{**document, "services": tuple(services), "removed": tuple(document["removed"])})
        return replace(report, outcome=Outcome(document["outcome"]))
