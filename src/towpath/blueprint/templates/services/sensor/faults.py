"""Faults that can be switched on, and what each does while it lasts.

    spike        readings leave their normal range
    signal-loss  readings are missing
    brownout     answers are slow or fail; from intensity 0.5 on, readiness too
    memory-leak  memory grows to its bound over the fault's duration
    crash        the process dies once the request that asked for it is answered

Each kind is active at most once; switching it on again replaces it. All faults end by themselves.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

KINDS = ("spike", "signal-loss", "brownout", "memory-leak", "crash")
LONGEST_SECONDS = 3600.0
# 64 MiB: visible on any graph, and below the memory limit of the manifest, so that the leak itself kills nothing.
LARGEST_LEAK_BYTES = 64 * 1024 * 1024
_CRASH_DELAY_SECONDS = 0.2


class FaultError(ValueError):
    """A fault that was asked for makes no sense."""


@dataclass(frozen=True)
class Fault:
    """A fault: its kind, how strong (above 0, up to 1) and how long."""

    kind: str
    intensity: float
    duration_seconds: float

    @classmethod
    def parse(cls, document: Any) -> "Fault":
        """The fault a JSON document asks for."""
        if not isinstance(document, Mapping):
            raise FaultError("expected an object with kind, intensity and duration_seconds")
        unknown = sorted(set(document) - {"kind", "intensity", "duration_seconds"})
        if unknown:
            raise FaultError(f"unknown field {unknown[0]}; known: kind, intensity, duration_seconds")
        kind = document.get("kind")
        if kind not in KINDS:
            raise FaultError(f"kind is {kind!r}, expected one of {', '.join(KINDS)}")
        return cls(
            kind=kind,
            intensity=_number(document, "intensity", default=0.5, highest=1.0),
            duration_seconds=_number(document, "duration_seconds", default=30.0, highest=LONGEST_SECONDS),
        )


def _number(document: Mapping[str, Any], field: str, *, default: float, highest: float) -> float:
    value = document.get(field, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= highest:
        raise FaultError(f"{field} is {value!r}, expected a number above 0, at most {highest:g}")
    return float(value)


class Faults:
    """The faults that are active. Safe to use from several threads."""

    def __init__(self, *, clock: Callable[[], float], crash: Callable[[], None]) -> None:
        self._clock = clock
        self._crash = crash
        self._lock = threading.Lock()
        self._active: dict[str, tuple[Fault, float]] = {}
        self._leaked: list[bytes] = []

    def start(self, fault: Fault) -> None:
        """Switch a fault on."""
        with self._lock:
            self._active[fault.kind] = (fault, self._clock())
        if fault.kind == "crash":
            timer = threading.Timer(_CRASH_DELAY_SECONDS, self._crash)
            timer.daemon = True
            timer.start()

    def clear(self, kind: str = "") -> list[str]:
        """Switch one kind off, or all; the kinds that were on."""
        with self._lock:
            cleared = [each for each in self._active if kind in {"", each}]
            for each in cleared:
                del self._active[each]
            self._settle()
        return cleared

    def intensity(self, kind: str) -> float:
        """How strong a kind is; 0 when it is off."""
        with self._lock:
            self._settle()
            return self._active[kind][0].intensity if kind in self._active else 0.0

    def describe(self) -> list[dict[str, Any]]:
        """The active faults and how long each still lasts."""
        with self._lock:
            self._settle()
            now = self._clock()
            return [
                {**asdict(fault), "remaining_seconds": round(started + fault.duration_seconds - now, 3)}
                for fault, started in self._active.values()
            ]

    @property
    def leaked_bytes(self) -> int:
        """How much memory the leak holds."""
        with self._lock:
            self._settle()
            return sum(map(len, self._leaked))

    def _settle(self) -> None:
        """End what is over, and let the leak grow to what it should be by this time."""
        now = self._clock()
        for kind, (fault, started) in list(self._active.items()):
            if now >= started + fault.duration_seconds:
                del self._active[kind]
        if "memory-leak" not in self._active:
            self._leaked.clear()
            return
        fault, started = self._active["memory-leak"]
        share = (now - started) / fault.duration_seconds
        missing = int(LARGEST_LEAK_BYTES * fault.intensity * share) - sum(map(len, self._leaked))
        if missing > 0:
            self._leaked.append(b"\xff" * missing)  # not zeros: those would not take real memory
