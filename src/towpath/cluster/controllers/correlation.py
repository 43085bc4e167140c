"""Deciding what becomes of an event before it costs a write: pure bookkeeping.

Upstream's three filters (client-go `events_cache.go`), in its order: events that differ only in their message are
combined after ten of them in ten minutes; equal events share one Event object with a growing count; and each source
has a budget per object, so that a crash loop cannot flood the store.
"""

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import Generic, NamedTuple, TypeVar

COMBINED_PREFIX = "(combined from similar events): "
SIMILAR_LIMIT = 10
SIMILAR_WINDOW_SECONDS = 600.0
BURST = 25
REFILL_SECONDS = 300.0  # one event per five minutes once the burst is spent

# 4096: upstream's cache size; what falls out starts a new count, nothing worse.
REMEMBERED = 4096

K = TypeVar("K")
V = TypeVar("V")


class Occurrence(NamedTuple):
    """One thing that happened to one object, as a controller reports it."""

    component: str
    host: str
    involved_uid: str
    involved_kind: str
    namespace: str
    name: str
    type: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Tally:
    """How often an equal event has happened. Times are epoch seconds; `event_name` names its Event object."""

    occurrence: Occurrence
    event_name: str
    count: int
    first: float
    last: float


@dataclass(slots=True)
class _Budget:
    tokens: float
    refilled: float


@dataclass(slots=True)
class _Similar:
    started: float
    messages: set[str] = field(default_factory=set)


class _Remembered(OrderedDict[K, V], Generic[K, V]):
    """A dictionary that forgets what was set longest ago."""

    def remember(self, key: K, value: V) -> V:
        self[key] = value
        self.move_to_end(key)
        if len(self) > REMEMBERED:
            self.popitem(last=False)
        return value


class Correlator:
    """Combines, counts and limits."""

    def __init__(self) -> None:
        self._budgets: _Remembered[tuple[str, str, str], _Budget] = _Remembered()
        self._similar: _Remembered[Occurrence, _Similar] = _Remembered()
        self._tallies: _Remembered[Occurrence, Tally] = _Remembered()
        self._last_stamp = 0

    def find_tally(self, occurrence: Occurrence, *, now: float) -> Tally | None:
        """What to store for this occurrence, or None when its source has spent its budget."""
        combined = self._combine(occurrence, now)
        if not self._spend(occurrence, now):
            return None
        # A combined event is one Event object whose message follows the latest occurrence.
        key = combined._replace(message=COMBINED_PREFIX) if combined.message.startswith(COMBINED_PREFIX) else combined
        known = self._tallies.get(key)
        if known is None:
            tally = Tally(combined, self._new_name(occurrence.name, now), 1, now, now)
        else:
            tally = replace(known, occurrence=combined, count=known.count + 1, last=now)
        return self._tallies.remember(key, tally)

    def forget(self, tally: Tally) -> None:
        """Start a new Event object at the next occurrence: this one is gone from the store."""
        for key in [key for key, known in self._tallies.items() if known.event_name == tally.event_name]:
            del self._tallies[key]

    def _combine(self, occurrence: Occurrence, now: float) -> Occurrence:
        group = occurrence._replace(message="")
        similar = self._similar.get(group)
        if similar is None or now - similar.started > SIMILAR_WINDOW_SECONDS:
            similar = _Similar(now)
        self._similar.remember(group, similar)
        if occurrence.message in similar.messages or len(similar.messages) < SIMILAR_LIMIT:
            similar.messages.add(occurrence.message)
            return occurrence
        return occurrence._replace(message=COMBINED_PREFIX + occurrence.message)

    def _spend(self, occurrence: Occurrence, now: float) -> bool:
        key = (occurrence.component, occurrence.involved_kind, occurrence.involved_uid)
        budget = self._budgets.get(key) or _Budget(BURST, now)
        budget.tokens = min(BURST, budget.tokens + (now - budget.refilled) / REFILL_SECONDS)
        budget.refilled = now
        self._budgets.remember(key, budget)
        if budget.tokens < 1:
            return False
        budget.tokens -= 1
        return True

    def _new_name(self, involved: str, now: float) -> str:
        # Nanoseconds as upstream; strictly growing, because two events of one object can share a moment.
        self._last_stamp = max(self._last_stamp + 1, int(now * 1e9))
        return f"{involved}.{self._last_stamp:x}"
