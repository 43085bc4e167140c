"""The chaos controller: draw, wait, look at the fleet, and act within the bounds.

1. Read the schedule again if it changed; a broken one is reported, and the last good one stays in force.
2. Draw the next fault and wait out its pause.
3. Find the fleet; count the faults that are active anywhere in it, whoever started them.
4. Over the cap, or nobody to hit: skip, and say so.
5. Dry run: say what would happen. Otherwise switch the fault on.
"""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fleet import Fleet, FleetError, Target
from journal import Journal
from schedule import OWN_NAMESPACE, Draw, Schedule, ScheduleError, parse_schedule

# How often the schedule is looked at while waiting.
LOOK_SECONDS = 5.0
# After a failure, before the next look at the fleet.
RETRY_SECONDS = 10.0


@dataclass(frozen=True)
class State:
    """What the controller last knew."""

    valid: bool = False
    dry_run: bool = False
    reachable: bool = True
    targets: int = 0
    active_faults: int = 0


class Controller:
    """Runs until the process ends."""

    def __init__(
        self,
        *,
        schedule_file: Path,
        fleet: Fleet,
        journal: Journal,
        own_namespace: str,
        clock: Callable[[], float],
        stop: threading.Event | None = None,
    ) -> None:
        self._schedule_file = schedule_file
        self._fleet = fleet
        self._journal = journal
        self._own_namespace = own_namespace
        self._clock = clock
        self._stop = stop or threading.Event()
        self._text: str | None = None
        self._schedule: Schedule | None = None
        self._number = 0
        self.state = State()
        self.outcomes: Counter[tuple[str, str]] = Counter()

    def run(self) -> None:
        """Draw and act for ever."""
        while not self._stop.is_set():
            self.reload()
            if self._schedule is None:
                self._stop.wait(LOOK_SECONDS)
                continue
            draw = self._schedule.draw(self._number)
            if self._wait(draw.pause_seconds):
                self._number += 1
                if not self.act(draw):
                    self._stop.wait(RETRY_SECONDS)

    def reload(self) -> bool:
        """Read the schedule if it changed; whether it did."""
        try:
            text = self._schedule_file.read_text()
        except (OSError, UnicodeDecodeError) as error:
            text = f"\0{error}"  # remembered like a text, so that it is reported once
        if text == self._text:
            return False
        self._text = text
        try:
            if text.startswith("\0"):
                raise ScheduleError(text[1:])
            self._schedule = parse_schedule(text)
        except ScheduleError as error:
            self.state = replace(self.state, valid=False)
            self._journal.write("schedule refused", error=str(error), in_force=self._schedule is not None)
            return False
        self._number = 0
        self.state = replace(self.state, valid=True, dry_run=self._schedule.dry_run)
        self._journal.write("schedule loaded", seed=self._schedule.seed, dry_run=self._schedule.dry_run)
        return True

    def act(self, draw: Draw) -> bool:
        """Do what was drawn, within the bounds; False when the fleet could not be asked."""
        schedule = self._schedule
        if schedule is None:
            return False
        try:
            targets = self._find(schedule)
            faults = {target: self._count_faults(target) for target in targets}
        except FleetError as error:
            self.state = replace(self.state, reachable=False)
            self._tell(draw, "failed", reason=str(error))
            return False
        self.state = replace(self.state, reachable=True, targets=len(targets), active_faults=sum(faults.values()))
        free = [target for target in targets if not faults[target]]
        if sum(faults.values()) >= schedule.concurrent_faults:
            self._tell(draw, "skipped", reason=f"{sum(faults.values())} active faults, the cap")
        elif not free:
            self._tell(draw, "skipped", reason="no running target")
        else:
            self._hit(free[int(draw.lot * len(free))], draw, dry_run=schedule.dry_run)
        return True

    def _find(self, schedule: Schedule) -> list[Target]:
        namespaces = [self._own_namespace if name == OWN_NAMESPACE else name for name in schedule.namespaces]
        return [target for name in dict.fromkeys(namespaces) for target in self._fleet.find(name, schedule.labels)]

    def _count_faults(self, target: Target) -> int:
        try:
            return self._fleet.active_faults(target)
        except FleetError:
            return 1  # who cannot answer is in trouble already: it counts, and is left alone

    def _hit(self, target: Target, draw: Draw, *, dry_run: bool) -> None:
        if dry_run:
            self._tell(draw, "dry-run", target=str(target))
            return
        fault = {"kind": draw.kind, "intensity": draw.intensity, "duration_seconds": draw.duration_seconds}
        try:
            self._fleet.start_fault(target, fault)
        except FleetError as error:
            self._tell(draw, "failed", target=str(target), reason=str(error))
        else:
            self._tell(draw, "started", target=str(target))

    def _tell(self, draw: Draw, outcome: str, **details: Any) -> None:
        self.outcomes[draw.kind, outcome] += 1
        self._journal.write(
            "fault",
            outcome=outcome,
            number=draw.number,
            kind=draw.kind,
            intensity=draw.intensity,
            duration_seconds=draw.duration_seconds,
            **details,
        )

    def _wait(self, seconds: float) -> bool:
        """Wait out a pause; False when the schedule changed, or the end came, before it was over."""
        end = self._clock() + seconds
        while (remaining := end - self._clock()) > 0:
            if self._stop.wait(min(remaining, LOOK_SECONDS)) or self.reload():
                return False
        return True
