"""A clock that stands still until a test moves it.

`advance` moves the time and lets every sleeper run whose moment has come, in the order of their moments, so that a
back-off of five minutes is tested in microseconds.
"""

import asyncio
import heapq
from itertools import count

# 2026-01-31T09:30:00Z: a moment that is easy to recognise in a failed assertion.
START = 1_769_851_800.0

# Enough turns of the event loop for a woken sleeper to do what needs no waiting, and to sleep again.
SETTLE_TURNS = 20


class VirtualClock:
    """Satisfies `aio.clock.Clock`."""

    def __init__(self, start: float = START) -> None:
        self._now = start
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    def now(self) -> float:
        """Wall time, in seconds since the epoch."""
        return self._now

    def monotonic(self) -> float:
        """Seconds since this clock was made."""
        return self._elapsed

    @property
    def sleepers(self) -> int:
        """How many tasks wait for this clock."""
        return sum(not future.done() for _, _, future in self._sleepers)

    async def sleep(self, seconds: float) -> None:
        """Wait until `advance` has moved the time far enough."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._order), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Move the time; wake sleepers one after the other, each at its own moment."""
        await self.settle()
        end = self._elapsed + seconds
        while self._sleepers and self._sleepers[0][0] <= end:
            moment, _, future = heapq.heappop(self._sleepers)
            self._move_to(max(moment, self._elapsed))
            if not future.done():
                future.set_result(None)
            await self.settle()
        self._move_to(end)
        await self.settle()

    async def settle(self) -> None:
        """Let tasks run that need no time to pass."""
        for _ in range(SETTLE_TURNS):
            await asyncio.sleep(0)

    def step(self, seconds: float) -> None:
        """Move the time in code that is not asynchronous; sleepers wake at the next `advance`."""
        self._move_to(self._elapsed + seconds)

    def _move_to(self, elapsed: float) -> None:
        self._now += elapsed - self._elapsed
        self._elapsed = elapsed
