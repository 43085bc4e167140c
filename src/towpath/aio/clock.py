"""Time as an argument, so that tests own it.

Whatever waits or stamps takes a `Clock`; nothing else in Towpath reads the time. Wall time is for people and for
records, monotonic time for measuring and waiting.
"""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the program knows of time."""

    def now(self) -> float:
        """Wall time, in seconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """A time that never goes back, in seconds."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Wall time, in seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """A time that never goes back, in seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


def format_rfc3339(epoch_seconds: float) -> str:
    """Whole seconds in UTC, as Kubernetes writes times: `2026-01-31T09:30:00Z`."""
    return datetime.fromtimestamp(int(epoch_seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_rfc3339(text: str) -> float:
    """The inverse of `format_rfc3339`; fractions and offsets are accepted.

    Raises:
        ValueError: the text is not an RFC 3339 time.
    """
    return datetime.fromisoformat(text).timestamp()
