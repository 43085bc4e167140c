"""Changes made behind Git's back: who made them, what became of them, and how eagerly they are undone.

A fight (another controller that keeps writing the same field) must not spin: each heal of an object within a quiet
period waits longer, 0, 2, 6, 18 … seconds up to a cap. The history is bounded and lives with the process; each drift is
also a Kubernetes event, which outlives it.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from towpath.aio.clock import Clock
from towpath.kube.diff import FieldChange
from towpath.kube.managed import find_owners
from towpath.kube.objects import Object, ObjectKey
from towpath.reconcile.changes import Change
from towpath.reconcile.marks import FIELD_MANAGER

# One screen of history a day for months; a fight fills it in minutes, which is what it is for.
KEPT_RECORDS = 200
HEAL_DELAYS_SECONDS = (0.0, 2.0, 6.0, 18.0, 54.0, 162.0, 300.0)
# Longer than the longest delay: an object that stays quiet for this long starts again at the first.
QUIET_SECONDS = 330.0


class DriftMode(StrEnum):
    """What happens to drift."""

    HEAL = "heal"
    REPORT = "report"


class DriftState(StrEnum):
    """What became of one drift."""

    FOUND = "found"
    HEALED = "healed"
    REPORTED = "reported"


@dataclass(frozen=True, slots=True)
class DriftedField:
    """A field, what Git says, what somebody made of it, and who (a field manager) when, as far as the server knows."""

    change: FieldChange
    manager: str = ""
    time: str = ""


@dataclass(frozen=True, slots=True)
class DriftRecord:
    """One object that was changed or deleted behind Git's back. Times are seconds since the epoch."""

    key: ObjectKey
    fields: tuple[DriftedField, ...]
    found_at: float
    state: DriftState = DriftState.FOUND
    healed_at: float | None = None
    deleted: bool = False

    def describe(self) -> str:
        """`StatefulSet/dev/sensor: spec.replicas 1 -> 3 by kubectl-scale`."""
        if self.deleted:
            return f"{self.key}: deleted"
        shown = "; ".join(
            f"{field.change.path} {_shown(field.change.after)} -> {_shown(field.change.before)}"
            + (f" by {field.manager}" if field.manager else "")
            for field in self.fields[:3]
        )
        more = f" and {len(self.fields) - 3} more fields" if len(self.fields) > 3 else ""
        return f"{self.key}: {shown}{more}"


@dataclass(slots=True)
class _Fight:
    heals: int = 0
    last_at: float = field(default=0.0)


class DriftLog:
    """The drift of one application."""

    def __init__(self, clock: Clock, *, kept: int = KEPT_RECORDS) -> None:
        self._clock = clock
        self._records: deque[DriftRecord] = deque(maxlen=kept)
        self._fights: dict[ObjectKey, _Fight] = {}

    @property
    def records(self) -> tuple[DriftRecord, ...]:
        """Newest last."""
        return tuple(self._records)

    def found(self, change: Change) -> tuple[DriftRecord, bool]:
        """Note a drift; whether it is a new one, or the one already known in this shape."""
        record = DriftRecord(
            key=change.key,
            fields=who_changed(change.live, change.fields) if change.live is not None else (),
            found_at=self._clock.now(),
            deleted=change.live is None,
        )
        for position, known in enumerate(self._records):
            if known.key == record.key and known.state is not DriftState.HEALED:
                same = known.fields == record.fields and known.deleted == record.deleted
                self._records[position] = known if same else replace(record, found_at=known.found_at)
                return self._records[position], not same
        self._records.append(record)
        return record, True

    def heal_delay_seconds(self, key: ObjectKey) -> float:
        """How long to wait from this moment before this object may be healed again."""
        fight = self._fights.get(key)
        now = self._clock.monotonic()
        if fight is None or now - fight.last_at > QUIET_SECONDS:
            return 0.0
        delay = HEAL_DELAYS_SECONDS[min(fight.heals, len(HEAL_DELAYS_SECONDS) - 1)]
        return max(0.0, fight.last_at + delay - now)

    def settled(self, keys: Iterable[ObjectKey], state: DriftState) -> list[DriftRecord]:
        """Note that the open drift of these objects was healed, or is only reported; the changed records come back."""
        wanted, changed = set(keys), []
        for position, known in enumerate(self._records):
            if known.key in wanted and known.state not in {DriftState.HEALED, state}:
                healed_at = self._clock.now() if state is DriftState.HEALED else None
                self._records[position] = replace(known, state=state, healed_at=healed_at)
                changed.append(self._records[position])
                if state is DriftState.HEALED:
                    self._count_heal(known.key)
        return changed

    def open_keys(self) -> set[ObjectKey]:
        """The objects that still differ from Git."""
        return {record.key for record in self._records if record.state is not DriftState.HEALED}

    def _count_heal(self, key: ObjectKey) -> None:
        now = self._clock.monotonic()
        fight = self._fights.setdefault(key, _Fight())
        fight.heals = fight.heals + 1 if now - fight.last_at <= QUIET_SECONDS else 1
        fight.last_at = now


def who_changed(live: Object, fields: Iterable[FieldChange]) -> tuple[DriftedField, ...]:
    """Each field with the manager other than us that owns it in `live`, the latest if there are several."""
    drifted = []
    for change in fields:
        owners = [owner for owner in find_owners(live, change.path) if owner.manager != FIELD_MANAGER]
        latest = max(owners, key=lambda owner: owner.time, default=None)
        drifted.append(DriftedField(change, latest.manager, latest.time) if latest else DriftedField(change))
    return tuple(drifted)


def _shown(value: object) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
