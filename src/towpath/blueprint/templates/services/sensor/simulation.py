"""The weather in a room: a pure function of a seed and a moment.

The same seed and moment always give the same reading, on any machine, so a test can know it and two replicas of one
name cannot disagree.
"""

import math
import random
from dataclasses import dataclass

DAY_SECONDS = 86_400
# One new reading a second.
TICK_SECONDS = 1.0
# How far the strongest spike lifts each value.
SPIKE_CELSIUS = 40.0
SPIKE_RATIO = 0.3
SPIKE_PASCALS = 5000.0


@dataclass(frozen=True)
class Reading:
    """What the sensor measures at one moment; humidity is a ratio from 0 to 1."""

    temperature_celsius: float
    relative_humidity_ratio: float
    pressure_pascals: float


def sequence_at(moment: float) -> int:
    """The number of the reading at a moment (seconds since the epoch)."""
    return int(moment / TICK_SECONDS)


def read(seed: str, moment: float, *, spike: float = 0.0) -> Reading:
    """The reading at a moment; `spike` from 0 to 1 lifts it out of its normal range."""
    room = random.Random(f"{seed} room")
    noise = random.Random(f"{seed} {sequence_at(moment)}")
    day = math.sin(2 * math.pi * (moment / DAY_SECONDS + room.random()))
    humidity = 0.45 + room.uniform(-0.1, 0.1) - 0.05 * day + noise.gauss(0, 0.005) + SPIKE_RATIO * spike
    return Reading(
        temperature_celsius=round(20 + room.uniform(-2, 2) + 3 * day + noise.gauss(0, 0.1) + SPIKE_CELSIUS * spike, 2),
        relative_humidity_ratio=round(min(max(humidity, 0.0), 1.0), 4),
        pressure_pascals=round(101_325 + room.uniform(-800, 800) + noise.gauss(0, 15) + SPIKE_PASCALS * spike, 1),
    )
