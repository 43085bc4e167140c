"""Why something is needed that only the outside can know: the port of the collector, and what comes through it.

Evidence is whole or it is none: an adapter that cannot read one of its sources raises, and then nothing is removed. A
part that it may never read, for want of rights, is named (`Roots.unseen`); then a person must say that nothing there is
needed.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from towpath.errors import RefusedError


class Why(StrEnum):
    """Why a manifest is kept. The first three come from outside."""

    PINNED = "pinned"
    RUNNING = "running"
    ROLLBACK = "rollback"
    CHANNEL = "channel"
    NEWEST = "newest"
    TAGGED = "tagged"
    GRACE = "grace"
    LEASE = "lease"
    INDEX = "index"
    SUBJECT = "subject"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something is kept, and what proves it."""

    why: Why
    evidence: str


@dataclass(frozen=True, slots=True)
class Root:
    """Something that is needed: a tag or a digest, with the reason. An empty repository means any that has it."""

    reference: str
    reason: Reason
    repository: str = ""


@dataclass(frozen=True, slots=True)
class Roots:
    """All evidence at one moment.

    Attributes:
        needed: what must stay.
        managed: repositories whose images are the platform's own, so that unneeded tags may go; elsewhere tags stay.
        sets: those of them that hold the sets of commits.
        mark: changes when the evidence may have changed; for `Evidence.find_mark`.
        unseen: where something may be needed that may not be looked at; empty when there is no such place.
    """

    needed: tuple[Root, ...] = ()
    managed: frozenset[str] = field(default_factory=frozenset)
    sets: frozenset[str] = field(default_factory=frozenset)
    mark: str = ""
    unseen: str = ""


class EvidenceError(RefusedError):
    """Evidence cannot be gathered, so nothing is removed."""


class Evidence(Protocol):
    """What is needed, as the world outside of the registry sees it."""

    async def gather(self) -> Roots:
        """All of it. Raises EvidenceError."""
        ...

    async def find_mark(self) -> str:
        """Quickly: the mark of what `gather` would find. Raises EvidenceError."""
        ...


class NoEvidence:
    """A registry by itself: nobody outside tells what is needed, so every tag stays."""

    async def gather(self) -> Roots:
        """Nothing."""
        return Roots()

    async def find_mark(self) -> str:
        """It never changes."""
        return ""
