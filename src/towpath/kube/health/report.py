"""The verdict on one object, and the order of verdicts."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    """Best first. An application is as healthy as its worst object."""

    HEALTHY = "Healthy"
    SUSPENDED = "Suspended"
    PROGRESSING = "Progressing"
    MISSING = "Missing"
    DEGRADED = "Degraded"
    UNKNOWN = "Unknown"

    @property
    def rank(self) -> int:
        """0 is best."""
        return list(Health).index(self)


@dataclass(frozen=True, slots=True)
class HealthReport:
    """A verdict with the reason a person needs; the message may be empty when all is well."""

    status: Health
    message: str = ""


def worst(statuses: Iterable[Health]) -> Health:
    """The worst of them; nothing at all is healthy."""
    return max(statuses, key=lambda status: status.rank, default=Health.HEALTHY)
