"""The schedule: which faults, how often, and within which bounds.

Drawing is a pure function of the schedule's seed and the number of the draw, so a run can be repeated. Whatever the
faults' own ranges say, the limits win.
"""

import random
import tomllib
from dataclasses import dataclass
from typing import Any

# Stands in the allow-list for the namespace the controller runs in; no real namespace can have this name.
OWN_NAMESPACE = "@own"
KINDS = ("spike", "signal-loss", "brownout", "memory-leak", "crash")


class ScheduleError(ValueError):
    """The schedule makes no sense; the text names the key."""


@dataclass(frozen=True)
class Range:
    """From lowest to highest, both included."""

    lowest: float
    highest: float


@dataclass(frozen=True)
class FaultRange:
    """One kind of fault, how likely it is beside the others, and its ranges."""

    kind: str
    weight: float
    intensity: Range
    duration_seconds: Range


@dataclass(frozen=True)
class Draw:
    """What is to happen next: after a pause, a fault to the target that `lot` (from 0 to 1) falls on."""

    number: int
    pause_seconds: float
    kind: str
    intensity: float
    duration_seconds: float
    lot: float


@dataclass(frozen=True)
class Schedule:
    """Everything the controller may do."""

    seed: int
    pause_seconds: Range
    dry_run: bool
    concurrent_faults: int
    largest_intensity: float
    longest_seconds: float
    namespaces: tuple[str, ...]
    labels: dict[str, str]
    kinds: tuple[str, ...]
    faults: tuple[FaultRange, ...]

    def draw(self, number: int) -> Draw:
        """The draw of that number."""
        luck = random.Random(f"{self.seed} {number}")
        pause = luck.uniform(self.pause_seconds.lowest, self.pause_seconds.highest)
        fault = luck.choices(self.faults, [each.weight for each in self.faults])[0]
        intensity = luck.uniform(fault.intensity.lowest, fault.intensity.highest)
        duration = luck.uniform(fault.duration_seconds.lowest, fault.duration_seconds.highest)
        return Draw(
            number=number,
            pause_seconds=round(pause, 1),
            kind=fault.kind,
            intensity=round(min(intensity, self.largest_intensity), 2),
            duration_seconds=round(min(duration, self.longest_seconds), 1),
            lot=luck.random(),
        )


def parse_schedule(text: str) -> Schedule:
    """A schedule from TOML."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScheduleError(f"not TOML: {error}") from error
    limits, allow = _table(document, "limits"), _table(document, "allow")
    kinds = _texts(allow, "allow.kinds")
    for kind in kinds:
        if kind not in KINDS:
            raise ScheduleError(f"allow.kinds has {kind!r}, expected some of {', '.join(KINDS)}")
    faults = tuple(_fault(fault, number) for number, fault in enumerate(_faults(document)))
    # A kind that is not allowed is never drawn, rather than drawn and refused.
    allowed = tuple(fault for fault in faults if fault.kind in kinds)
    if not allowed:
        raise ScheduleError("faults has none of a kind that allow.kinds allows")
    return Schedule(
        seed=int(_number(document, "seed", lowest=0)),
        pause_seconds=_range(document, "pause_seconds", lowest=0.1, highest=86_400),
        dry_run=_flag(document, "dry_run"),
        concurrent_faults=int(_number(limits, "limits.concurrent_faults", lowest=1)),
        largest_intensity=_number(limits, "limits.intensity", lowest=0.01, highest=1),
        longest_seconds=_number(limits, "limits.duration_seconds", lowest=0.1, highest=3600),
        namespaces=_texts(allow, "allow.namespaces"),
        labels=_labels(allow),
        kinds=kinds,
        faults=allowed,
    )


def _fault(document: dict[str, Any], number: int) -> FaultRange:
    where = f"faults[{number}]"
    kind = document.get("kind")
    if kind not in KINDS:
        raise ScheduleError(f"{where}.kind is {kind!r}, expected one of {', '.join(KINDS)}")
    return FaultRange(
        kind=kind,
        weight=_number(document, f"{where}.weight", lowest=0.01),
        intensity=_range(document, f"{where}.intensity", lowest=0.01, highest=1),
        duration_seconds=_range(document, f"{where}.duration_seconds", lowest=0.1, highest=3600),
    )


def _faults(document: dict[str, Any]) -> list[dict[str, Any]]:
    faults = document.get("faults")
    if not isinstance(faults, list) or not faults or not all(isinstance(fault, dict) for fault in faults):
        raise ScheduleError("faults is missing, expected at least one [[faults]]")
    return faults


def _table(document: dict[str, Any], key: str) -> dict[str, Any]:
    value = document.get(key)
    if not isinstance(value, dict):
        raise ScheduleError(f"{key} is missing, expected a table [{key}]")
    return value


def _flag(document: dict[str, Any], key: str) -> bool:
    value = document.get(key)
    if not isinstance(value, bool):
        raise ScheduleError(f"{key} is {value!r}, expected true or false")
    return value


def _number(document: dict[str, Any], path: str, *, lowest: float, highest: float = float("inf")) -> float:
    value = document.get(path.rpartition(".")[2])
    if isinstance(value, bool) or not isinstance(value, int | float) or not lowest <= value <= highest:
        raise ScheduleError(f"{path} is {value!r}, expected a number from {lowest:g} to {highest:g}")
    return value


def _range(document: dict[str, Any], path: str, *, lowest: float, highest: float) -> Range:
    value = document.get(path.rpartition(".")[2])
    numbers = value if isinstance(value, list) and all(type(each) in {int, float} for each in value) else []
    if len(numbers) != 2 or not lowest <= numbers[0] <= numbers[1] <= highest:
        raise ScheduleError(f"{path} is {value!r}, expected [from, to] between {lowest:g} and {highest:g}")
    return Range(float(numbers[0]), float(numbers[1]))


def _texts(document: dict[str, Any], path: str) -> tuple[str, ...]:
    value = document.get(path.rpartition(".")[2])
    if not isinstance(value, list) or not value or not all(isinstance(each, str) and each for each in value):
        raise ScheduleError(f"{path} is {value!r}, expected a list of texts")
    return tuple(value)


def _labels(allow: dict[str, Any]) -> dict[str, str]:
    value = allow.get("labels")
    if not isinstance(value, dict) or not value or not all(isinstance(each, str) for each in value.values()):
        raise ScheduleError("allow.labels is missing, expected at least one label: without any, every pod is a target")
    return value
