"""Startup, readiness and liveness probes: when to look, and how many looks make a verdict.

The kubelet's rules, with one addition: before a startup or readiness probe has ever succeeded, and once its initial
delay is over, it also looks at short intervals (`EAGER_SECONDS`); such a look counts only if it succeeds. So a
container is ready when it can answer, not when the period next ends, and thresholds keep their meaning. And a liveness
probe first looks when the container has been ready, or one period after its start: a container that is starting is not
sick, and nobody needs a warning of it.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from towpath.aio.clock import Clock
from towpath.cluster.node.pod.probe_actions import Outcome

# The intervals of eager looks: tight while an interpreter starts, then wider; after the last, the period alone rules.
EAGER_SECONDS = (0.02,) * 40 + (0.05,) * 60 + (0.25,) * 40


class ProbeKind(StrEnum):
    """What a probe decides."""

    STARTUP = "Startup"
    READINESS = "Readiness"
    LIVENESS = "Liveness"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """A probe's numbers, in seconds, with upstream's defaults."""

    initial_delay: float = 0.0
    period: float = 10.0
    timeout: float = 1.0
    success_threshold: int = 1
    failure_threshold: int = 3

    @classmethod
    def parse(cls, probe: Mapping[str, Any]) -> "Timing":
        """From a probe's specification."""
        return cls(
            initial_delay=float(probe.get("initialDelaySeconds") or 0),
            period=float(probe.get("periodSeconds") or 10),
            timeout=float(probe.get("timeoutSeconds") or 1),
            success_threshold=int(probe.get("successThreshold") or 1),
            failure_threshold=int(probe.get("failureThreshold") or 3),
        )


class Tally:
    """Turns single outcomes into verdicts (pure)."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._last: bool | None = None
        self._run = 0
        self.verdict: bool | None = None  # None: not enough looks yet

    def count(self, *, success: bool) -> bool:
        """Take one outcome; whether the verdict is (again) decided by it."""
        self._run = self._run + 1 if success == self._last else 1
        self._last = success
        needed = self._timing.success_threshold if success else self._timing.failure_threshold
        if self._run < needed:
            return False
        self.verdict = success
        return True


class Probe:
    """One probe of one running container. `run` it as a task; cancel it with the container."""

    def __init__(
        self,
        kind: ProbeKind,
        timing: Timing,
        look: Callable[[], Awaitable[Outcome]],
        *,
        clock: Clock,
        on_failure: Callable[[str], None],
        ready: asyncio.Event | None = None,
    ) -> None:
        """Prepare; nothing is done yet.

        Args:
            kind: what it decides.
            timing: its numbers.
            look: one look, which keeps the time limit itself.
            clock: waiting.
            on_failure: told the message of each counted failure.
            ready: set once the container has been ready, for a liveness probe to begin; None to begin at once.
        """
        self.kind = kind
        self._timing = timing
        self._look = look
        self._clock = clock
        self._on_failure = on_failure
        self._ready = ready

    async def run(self, on_verdict: Callable[[bool], None]) -> None:
        """Look for ever (a startup probe: until it has succeeded); each decided verdict is told.

        A liveness or startup probe ends when it has failed for good.
        """
        tally = Tally(self._timing)
        begun = self._clock.monotonic()
        if self._timing.initial_delay:
            await self._clock.sleep(self._timing.initial_delay)
        if self.kind is not ProbeKind.LIVENESS and await self._look_eagerly(tally):
            on_verdict(True)
            if self.kind is ProbeKind.STARTUP:
                return
            await self._clock.sleep(self._timing.period)
        if self.kind is ProbeKind.LIVENESS and self._ready is not None:
            await self._wait_ready(self._ready, begun + self._timing.period)
        while True:
            outcome = await self._look()
            if not outcome.success:
                self._on_failure(outcome.message)
            if tally.count(success=outcome.success):
                on_verdict(outcome.success)
                if self.kind is ProbeKind.STARTUP or (self.kind is ProbeKind.LIVENESS and not outcome.success):
                    return
            await self._clock.sleep(self._timing.period)

    async def _wait_ready(self, ready: asyncio.Event, until: float) -> None:
        waiting = asyncio.ensure_future(ready.wait())
        timer = asyncio.ensure_future(self._clock.sleep(max(until - self._clock.monotonic(), 0.0)))
        try:
            await asyncio.wait({waiting, timer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (waiting, timer):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def _look_eagerly(self, tally: Tally) -> bool:
        """Whether an eager look, within the first period, found what was needed."""
        ends = self._clock.monotonic() + self._timing.period
        for interval in EAGER_SECONDS:
            outcome = await self._look()
            if outcome.success:
                decided = tally.count(success=True)
                if not decided:  # further successes are due at the period's pace
                    await self._clock.sleep(self._timing.period)
                return decided
            if self._clock.monotonic() + interval >= ends:
                break
            await self._clock.sleep(interval)
        await self._clock.sleep(max(ends - self._clock.monotonic(), 0.0))
        return False
