"""Follow an outside repository by URL: a mirror that is brought up to date by hints and, without any, by polling.

1. List the remote's refs; when they are the mirror's, nothing is fetched.
2. Otherwise fetch, which makes them the same: force pushes, deletions and all.
3. Let `refs` compare with what was handled; it tells about each change.
4. Wait: for a hint, or for the next look. The interval has jitter; after failures it grows, and a hint still counts.

A hint may come before the remote shows the push (a forge with replicas); then it is looked at again, soon, a few
times. Whatever becomes of hints, nothing is lost, because refs are compared.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from towpath.aio.backoff import Backoff
from towpath.aio.clock import Clock, SystemClock
from towpath.aio.tasks import Background
from towpath.errors import TowpathError
from towpath.source.events import PushEvent
from towpath.source.pause import sleep_unless_woken
from towpath.source.refs import RefWatch
from towpath.source.repository import GitRepository
from towpath.source.upstream import Upstream, local_refs

log = logging.getLogger(__name__)

POLL_SECONDS = 60.0
# Up to a tenth more: several platforms on one forge drift apart.
_JITTER = 0.1
# How often, and how soon after a hint, a push that is not there yet is looked for.
_REPLICA_DELAYS_SECONDS = (1.0, 3.0, 10.0)


@dataclass(frozen=True, slots=True)
class RemoteStatus:
    """How following goes.

    Attributes:
        url: what is followed.
        last_success_at: wall time of the last look that succeeded; None before the first.
        last_hint_at: wall time of the last hint; None when there was none.
        next_look_at: wall time of the next look without a hint.
        failures: how many looks failed since.
        problem: why the last one failed, with the next step; empty when it did not.
    """

    url: str
    last_success_at: float | None = None
    last_hint_at: float | None = None
    next_look_at: float = 0.0
    failures: int = 0
    problem: str = ""


class RemoteSource:
    """Keeps a mirror of one outside repository and tells about its pushes."""

    def __init__(
        self,
        name: str,
        upstream: Upstream,
        repository: GitRepository,
        on_push: Callable[[PushEvent], Awaitable[None]],
        *,
        clock: Clock | None = None,
        poll_seconds: float = POLL_SECONDS,
        backoff: Backoff | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """Prepare; nothing is asked yet.

        Args:
            name: the repository's name here.
            upstream: the outside repository.
            repository: the mirror; make it with the same upstream, so that what is committed goes there first.
            on_push: takes each change; when it raises, the change is told again.
            clock: the time.
            poll_seconds: the pause between two looks without hints.
            backoff: the pause after failures.
            draw: a number from 0 to 1, for jitter.
        """
        self.repository = repository
        self._upstream = upstream
        self._clock = clock or SystemClock()
        self._poll_seconds = poll_seconds
        self._backoff = backoff or Backoff(initial_seconds=2.0, cap_seconds=300.0)
        self._draw = draw
        self._watch = RefWatch(name, repository, on_push, clock=self._clock)
        self._name = name
        self._status = RemoteStatus(upstream.url)
        self._expected: PushEvent | None = None
        self._replica_looks = 0
        self._wake = asyncio.Event()
        self._lock = asyncio.Lock()
        self._background = Background()

    @property
    def status(self) -> RemoteStatus:
        """How following goes."""
        return self._status

    async def start(self) -> None:
        """Make the mirror if there is none, and begin to follow; an unreachable remote is retried, not raised."""
        await self.repository.init()
        self._background.run_forever(f"remote {self._name}", self._follow)

    async def close(self) -> None:
        """Stop following."""
        await self._background.close()

    def hint(self, event: PushEvent | None = None) -> None:
        """Look soon; `event` is what a webhook says is to be seen."""
        self._expected = event
        self._replica_looks = 0
        self._status = replace(self._status, last_hint_at=self._clock.now())
        self._wake.set()

    def meant_by(self, event: PushEvent) -> bool:
        """Whether a webhook's repository is this one, as far as the URL tells."""
        return event.repository == self._name or self._upstream.names(event.repository)

    async def look(self) -> bool:
        """Compare with the remote, fetch if need be, and tell; False when a change could not be handled.

        Raises:
            UpstreamError: the remote cannot be reached; the mirror stays as it was.
        """
        async with self._lock:
            expected = self._expected
            if await self._upstream.refs() != await local_refs(self.repository.path):
                await self._upstream.fetch(self.repository.path)
            if expected is not None and self._expected is expected and await self._has(expected):
                self._expected = None
            pusher, received_at = (expected.pusher, expected.received_at) if expected else ("", None)
            return await self._watch.look(received_at=received_at, pusher=pusher)

    async def _has(self, event: PushEvent) -> bool:
        found = (await self.repository.refs(event.ref)).get(event.ref)
        return found is None if event.deleted else await self.repository.find_commit(event.after) is not None

    async def _follow(self) -> None:
        while True:
            self._wake.clear()
            try:
                handled = await self.look()
            except TowpathError as error:
                if not self._status.failures:
                    log.warning("%s", error.message)
                self._status = replace(self._status, failures=self._status.failures + 1, problem=error.diagnostics())
            else:
                if self._status.failures:
                    log.info("%s answers again", self._upstream.url)
                problem = "" if handled else "a push was not handled; it is told again"
                failures = 0 if handled else self._status.failures + 1
                now = self._clock.now()
                self._status = replace(self._status, last_success_at=now, failures=failures, problem=problem)
            await self._wait(self._delay())

    def _delay(self) -> float:
        if self._status.failures:
            # Half of it at random, so that a forge that comes back is not met by everybody at once.
            delay = self._backoff.delay(self._status.failures)
            return delay * (0.5 + 0.5 * self._draw())
        if self._expected is not None and self._replica_looks < len(_REPLICA_DELAYS_SECONDS):
            self._replica_looks += 1
            return _REPLICA_DELAYS_SECONDS[self._replica_looks - 1]
        self._expected = None
        return self._poll_seconds * (1 + _JITTER * self._draw())

    async def _wait(self, seconds: float) -> None:
        self._status = replace(self._status, next_look_at=self._clock.now() + seconds)
        await sleep_unless_woken(self._clock, seconds, self._wake)
