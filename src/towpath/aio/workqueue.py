"""A queue of keys for level-triggered loops: each key is worked on by one worker at a time.

The rules of Kubernetes' work queue: a key added twice is worked once; a key added while it is being worked on is
worked again afterwards; a failed key returns after its own back-off, a successful one forgets its failures.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from towpath.aio.backoff import Backoff

K = TypeVar("K", bound=Hashable)


class WorkQueue(Generic[K]):
    """Keys waiting to be reconciled; single event loop, no locks."""

    def __init__(self, backoff: Backoff | None = None) -> None:
        self._backoff = backoff or Backoff()
        self._ready: asyncio.Queue[K] = asyncio.Queue()
        self._waiting: set[K] = set()
        self._active: set[K] = set()
        self._again: set[K] = set()
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}

    def add(self, key: K) -> None:
        """Ask for `key` to be worked on soon; a pending delay is cut short."""
        self._cancel_timer(key)
        if key in self._active:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.put_nowait(key)

    def add_after(self, key: K, delay_seconds: float) -> None:
        """Ask for `key` after a delay; an earlier pending request wins."""
        if delay_seconds <= 0:
            self.add(key)
            return
        loop = asyncio.get_running_loop()
        pending = self._timers.get(key)
        if pending is not None and pending.when() <= loop.time() + delay_seconds:
            return
        self._cancel_timer(key)
        self._timers[key] = loop.call_later(delay_seconds, self.add, key)

    async def work(self, reconcile: Callable[[K], Awaitable[None]], report: Callable[[K, Exception], None]) -> None:
        """Work on keys for ever (run it as a task, several times for several workers).

        A reconcile that raises is reported, and its key comes back after its back-off.
        """
        while True:
            key = await self._ready.get()
            self._waiting.discard(key)
            self._active.add(key)
            try:
                await reconcile(key)
            except Exception as error:  # noqa: BLE001 - one key's failure must not end the loop of all keys
                report(key, error)
                self._failures[key] = self._failures.get(key, 0) + 1
                self.add_after(key, self._backoff.delay(self._failures[key]))
            else:
                self._failures.pop(key, None)
            finally:
                self._active.discard(key)
                if key in self._again:
                    self._again.discard(key)
                    self.add(key)

    def close(self) -> None:
        """Cancel all delayed keys."""
        for key in list(self._timers):
            self._cancel_timer(key)

    def _cancel_timer(self, key: K) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
