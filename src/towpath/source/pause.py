"""Sleep until the time is over or someone wakes us, whichever comes first."""

import asyncio
import contextlib

from towpath.aio.clock import Clock


async def sleep_unless_woken(clock: Clock, seconds: float, woken: asyncio.Event) -> None:
    """Return after `seconds`, or at once when `woken` is set."""
    timer = asyncio.ensure_future(clock.sleep(seconds))
    waker = asyncio.ensure_future(woken.wait())
    try:
        await asyncio.wait({timer, waker}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (timer, waker):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
