"""Bounded concurrency with fairness: at most so many requests at once, and the flows that wait are served in turn.

A flow is whoever shares one place in the queue (here: a namespace). An application of a thousand objects thus delays
another by one request, not by a thousand. The rate is not limited here: the server does that (API Priority and
Fairness), and says so with 429 and Retry-After.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class FairGate:
    """Admits `limit` at once; those who wait enter round-robin by flow, first come first served within one."""

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def enter(self, flow: str) -> AsyncIterator[None]:
        """Hold one place for the block."""
        await self._acquire(flow)
        try:
            yield
        finally:
            self._release()

    async def _acquire(self, flow: str) -> None:
        if self._free > 0 and not self._waiting:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(flow, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._release()  # the place was given in the very moment of the cancellation: pass it on
            else:
                self._forget(flow, turn)
            raise

    def _release(self) -> None:
        while self._waiting:
            flow, turns = self._waiting.popitem(last=False)
            turn = turns.popleft()
            if turns:
                self._waiting[flow] = turns  # to the end: the other flows come first
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _forget(self, flow: str, turn: asyncio.Future[None]) -> None:
        turns = self._waiting.get(flow)
        if turns is not None and turn in turns:
            turns.remove(turn)
            if not turns:
                del self._waiting[flow]
