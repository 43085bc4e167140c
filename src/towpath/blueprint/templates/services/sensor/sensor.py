"""The sensor itself: its readings, and how its faults show in them. Knows nothing of HTTP."""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass

from faults import Faults
from settings import Settings
from simulation import Reading, read, sequence_at

# From this intensity on a brownout takes the sensor out of service instead of only slowing it down.
UNREADY_INTENSITY = 0.5
LONGEST_DELAY_SECONDS = 2.0


@dataclass(frozen=True)
class Sample:
    """One answer: `reading` is None while the signal is lost."""

    sequence: int
    moment: float
    reading: Reading | None


class Sensor:
    """One simulated sensor."""

    def __init__(self, settings: Settings, faults: Faults, *, clock: Callable[[], float]) -> None:
        self.settings = settings
        self.faults = faults
        self._clock = clock
        self._seed = f"{settings.seed} {settings.name}"
        self._luck = random.Random(self._seed)
        self._lock = threading.Lock()

    def sample(self) -> Sample:
        """What it measures at this moment."""
        moment = self._clock()
        reading = None if self._chance(self.faults.intensity("signal-loss")) else self._read(moment)
        return Sample(sequence_at(moment), moment, reading)

    def trouble(self, *, probe: bool = False) -> tuple[float, bool]:
        """What a brownout does to one answer: the seconds it is late, and whether it fails."""
        intensity = self.faults.intensity("brownout")
        if not intensity or (probe and intensity < UNREADY_INTENSITY):
            return 0.0, False
        if probe:
            return 0.0, True
        return LONGEST_DELAY_SECONDS * intensity * self._draw(), self._chance(intensity / 2)

    def _read(self, moment: float) -> Reading:
        return read(self._seed, moment, spike=self.faults.intensity("spike"))

    def _chance(self, probability: float) -> bool:
        return probability > 0 and self._draw() < probability

    def _draw(self) -> float:
        with self._lock:
            return self._luck.random()
