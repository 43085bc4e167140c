"""Find what changed in a repository by comparing its refs with the last state that was handled.

Every hint (a finished push, a webhook, a timer, a start) only says "look": the comparison finds each change exactly
once handled, whatever hints were lost, doubled or overtook each other. The handled state is a file in the repository;
without it every ref counts as new, so those who handle events must bear one twice.

Two changes of one ref between two looks are one event, from the first `before` to the last `after`.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable

from towpath.aio.backoff import Backoff
from towpath.aio.clock import Clock
from towpath.aio.files import write_durably
from towpath.aio.tasks import Background
from towpath.source.events import BRANCHES, NO_COMMIT, PushEvent
from towpath.source.pause import sleep_unless_woken
from towpath.source.repository import GitRepository

log = logging.getLogger(__name__)

HANDLED_FILE = "towpath-handled.json"
# 60 s: the floor under lost hints; one look costs about a millisecond of one core.
LOOK_INTERVAL_SECONDS = 60.0


class RefWatch:
    """Watches one repository and tells about each ref that moved."""

    def __init__(
        self,
        name: str,
        repository: GitRepository,
        on_push: Callable[[PushEvent], Awaitable[None]],
        *,
        clock: Clock,
        interval_seconds: float = LOOK_INTERVAL_SECONDS,
        backoff: Backoff | None = None,
    ) -> None:
        self._name = name
        self._repository = repository
        self._on_push = on_push
        self._clock = clock
        self._interval_seconds = interval_seconds
        self._backoff = backoff or Backoff(initial_seconds=0.5, cap_seconds=interval_seconds)
        self._file = repository.path / HANDLED_FILE
        self._handled: dict[str, str] | None = None
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._background = Background()

    async def start(self) -> None:
        """Look now and from time to time."""
        self._background.run_forever(f"refs of {self._name}", self._look_for_ever)

    async def close(self) -> None:
        """Stop looking."""
        await self._background.close()

    async def look(self, *, received_at: float | None = None, pusher: str = "") -> bool:
        """Compare, and tell about every change; those who listen decide when a change counts as handled.

        Args:
            received_at: when the push arrived that makes us look.
            pusher: who pushed.

        Returns:
            False when someone could not handle a change; it is told again at the next look.
        """
        async with self._lock:
            handled = self._load()
            live = await self._repository.refs()
            moment = received_at if received_at is not None else self._clock.now()
            complete = True
            for ref in sorted({*handled, *live}, key=self._order):
                before, after = handled.get(ref, NO_COMMIT), live.get(ref, NO_COMMIT)
                if before == after:
                    continue
                event = PushEvent(self._name, ref, before, after, moment, pusher)
                if await self._tell(event):
                    self._mark(event)
                else:
                    complete = False
            if not complete:
                self._wake.set()
            return complete

    def _order(self, ref: str) -> tuple[bool, str]:
        return ref != BRANCHES + self._repository.branch, ref

    async def _tell(self, event: PushEvent) -> bool:
        try:
            await self._on_push(event)
        except Exception:
            log.warning("push to %s of %s was not handled; it is told again", event.ref, self._name, exc_info=True)
            return False
        return True

    async def _look_for_ever(self) -> None:
        failures = 0
        while True:
            self._wake.clear()
            failures = 0 if await self.look() else failures + 1
            if failures:
                await self._clock.sleep(self._backoff.delay(failures))
            else:
                await sleep_unless_woken(self._clock, self._interval_seconds, self._wake)

    def _load(self) -> dict[str, str]:
        if self._handled is None:
            self._handled = {}
            try:
                stored = json.loads(self._file.read_bytes())
                self._handled = {str(ref): str(commit) for ref, commit in stored.items()}
            except FileNotFoundError:
                pass
            except (ValueError, AttributeError):
                log.warning("%s is damaged; every ref of %s counts as new", self._file, self._name)
        return self._handled

    def _mark(self, event: PushEvent) -> None:
        handled = self._load()
        if event.deleted:
            handled.pop(event.ref, None)
        else:
            handled[event.ref] = event.after
        write_durably(self._file, json.dumps(handled, sort_keys=True).encode())
