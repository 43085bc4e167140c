"""The loop of one controller: keys in, one reconcile at a time per key, and a later look when time itself matters.

A reconcile returns the seconds after which its key needs another look although nothing changed (a deadline, a
minReadySeconds), or None. That answer replaces the earlier one, so a stale alarm never outlives its reason. Alarms run
on the clock; the back-off after a failure runs on the event loop. An idle loop has no timers and costs nothing.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from towpath.aio.backoff import Backoff
from towpath.aio.clock import Clock
from towpath.aio.tasks import Background
from towpath.aio.workqueue import WorkQueue
from towpath.cluster.controllers.expectations import Expectations
from towpath.cluster.controllers.informer import NamespacedName
from towpath.errors import TowpathError
from towpath.kube.errors import AlreadyExistsError, ApiConflictError, ForbiddenError

log = logging.getLogger(__name__)

Reconcile = Callable[[NamespacedName], Awaitable[float | None]]

# 5 ms as upstream: the usual failure is a lost optimistic lock, gone with the next watch event. 30 s instead of
# upstream's 1000 s: on a small cluster, waiting a quarter of an hour after the cause is gone is worse than a retry.
RETRY = Backoff(initial_seconds=0.005, cap_seconds=30.0)

# Two: a slow key (many pods to create) must not hold up the others.
WORKERS = 2


def is_namespace_terminating(error: Exception) -> bool:
    """Whether a create was refused because its namespace is being deleted: expected, and soon over."""
    return isinstance(error, ForbiddenError) and any(
        cause.get("reason") == "NamespaceTerminating" for cause in error.causes
    )


class ControlLoop:
    """Queue, alarms, expectations and workers of one controller."""

    def __init__(self, name: str, reconcile: Reconcile, *, clock: Clock) -> None:
        self.name = name
        self.expectations = Expectations(clock)
        self._reconcile = reconcile
        self._clock = clock
        self._queue: WorkQueue[NamespacedName] = WorkQueue(RETRY)
        self._background = Background()
        self._alarms: dict[NamespacedName, asyncio.Task[None]] = {}
        self._open: set[NamespacedName] = set()
        self._active: set[NamespacedName] = set()

    @property
    def is_idle(self) -> bool:
        """No key waits, is being worked on, or backs off after a failure. Alarms do not count."""
        return not self._open and not self._active

    def add(self, key: NamespacedName) -> None:
        """Ask for `key` to be reconciled soon."""
        self._open.add(key)
        self._queue.add(key)

    def start(self) -> None:
        """Start the workers."""
        for number in range(WORKERS):
            self._background.run_forever(f"{self.name}-{number}", self._work)

    async def close(self) -> None:
        """Stop the workers and forget every alarm."""
        self._queue.close()
        for alarm in self._alarms.values():
            alarm.cancel()
        await asyncio.gather(*self._alarms.values(), return_exceptions=True)
        self._alarms.clear()
        await self._background.close()

    async def _work(self) -> None:
        await self._queue.work(self._reconcile_once, self._report)

    async def _reconcile_once(self, key: NamespacedName) -> None:
        self._open.discard(key)  # an add from here on opens it again
        self._active.add(key)
        try:
            waiting = self.expectations.wait_seconds(key)
            self._set_alarm(key, waiting or await self._reconcile(key))
        except Exception:
            self._open.add(key)
            raise
        finally:
            self._active.discard(key)

    def _report(self, key: NamespacedName, error: Exception) -> None:
        if isinstance(error, ApiConflictError | AlreadyExistsError) or is_namespace_terminating(error):
            log.debug("%s: %s lost a race and is retried: %s", self.name, key, error)
        elif isinstance(error, TowpathError):
            log.warning("%s: %s failed and is retried: %s", self.name, key, error.diagnostics())
        else:
            log.warning("%s: %s failed and is retried", self.name, key, exc_info=error)

    def _set_alarm(self, key: NamespacedName, after_seconds: float | None) -> None:
        previous = self._alarms.pop(key, None)
        if previous is not None:
            previous.cancel()
        if after_seconds is not None:
            self._alarms[key] = asyncio.create_task(self._ring(key, after_seconds), name=f"{self.name}-alarm")

    async def _ring(self, key: NamespacedName, after_seconds: float) -> None:
        await self._clock.sleep(after_seconds)
        del self._alarms[key]
        self.add(key)
