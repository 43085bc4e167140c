"""Ends a command in good order when it is told to stop: what it started is ended, what it staged is removed.

Ctrl-C is asyncio's own business, and `main` tells of it. A supervisor's SIGTERM and a closed terminal's SIGHUP are
treated alike; the exit code is 128 and the number, as shells have it. Whoever ignores a signal (`nohup`) goes on.
"""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
_OFFSET = 128


class Interruption(Exception):  # noqa: N818 - no error: somebody wished it
    """A signal ended the work."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number.name)
        self.exit_code = _OFFSET + number


def run_interruptible(work: Coroutine[Any, Any, T]) -> T:
    """Run work to its end, in an event loop of its own.

    Raises:
        Interruption: a signal came first; the work has cleaned up.
    """
    received: list[signal.Signals] = []

    async def listen() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)

        def stop(number: signal.Signals) -> None:
            # Each time: the second signal cuts the cleaning short.
            received.append(number)
            task.cancel()

        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, stop, number)
        return await task

    try:
        return asyncio.run(listen())
    except asyncio.CancelledError:
        if not received:
            raise
        raise Interruption(received[0]) from None
