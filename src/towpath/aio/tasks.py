"""Background tasks with an owner: named, watched, and cancelled together.

A background task that ends by itself is a fault; it is logged and started again after a back-off, so that one bad
moment never leaves a loop dead in a process that looks alive.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from towpath.aio.backoff import Backoff

log = logging.getLogger(__name__)


class Background:
    """The background tasks of one component. Close it to end them all."""

    def __init__(self, backoff: Backoff | None = None) -> None:
        self._backoff = backoff or Backoff(initial_seconds=0.2, cap_seconds=10.0)
        self._tasks: set[asyncio.Task[None]] = set()

    def run_forever(self, name: str, step: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Run `step` as a task, and again whenever it returns or raises, until the task is cancelled."""
        return self._start(name, self._forever(name, step))

    def run_once(self, name: str, step: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Run `step` as a task; a failure is logged."""
        return self._start(name, self._once(name, step))

    async def close(self) -> None:
        """Cancel every task and wait until all have ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, name: str, step: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(step, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _forever(self, name: str, step: Callable[[], Awaitable[None]]) -> None:
        failures = 0
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            try:
                await step()
                log.warning("%s ended by itself; starting it again", name)
            except Exception:
                log.exception("%s failed; starting it again", name)
            # A long healthy run forgives the failures before it.
            failures = 1 if loop.time() - started > self._backoff.cap_seconds else failures + 1
            await asyncio.sleep(self._backoff.delay(failures))

    async def _once(self, name: str, step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
        except Exception:
            log.exception("%s failed", name)
