"""Watches: changes delivered to whoever asked, in order, without gaps, and without letting anyone pile up memory.

Rules:
 * a watch is subscribed when it is made, not when it is first read, so nothing between is lost;
 * an object that begins to match a selector is ADDED, one that ceases to match is DELETED;
 * every event is parsed from the committed bytes, for its reader alone;
 * a reader that falls behind by `PENDING_CHANGES` is dropped with ExpiredError and lists again;
 * a watch that is closed, or that nobody holds any more, is unsubscribed.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterable
from weakref import WeakSet

from towpath.aio.clock import Clock
from towpath.cluster.kernel.changes import Change, decode, encode
from towpath.cluster.kernel.selection import Selection
from towpath.kube.errors import ExpiredError
from towpath.kube.objects import GVK, Object
from towpath.kube.requests import EventType, WatchEvent

PENDING_CHANGES = 4096  # as many as the log retains: past that, a new list costs less than catching up
BOOKMARK_SECONDS = 60.0  # upstream's pace
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class Watch(AsyncIterator[WatchEvent]):
    """The events of one kind, for one reader. Made by the kernel; close it when done."""

    def __init__(self, gvk: GVK, namespace: str, selection: Selection, *, hub: "Hub", clock: Clock | None) -> None:
        """`clock`, if given, paces bookmarks."""
        self._gvk = gvk
        self._namespace = namespace
        self._selection = selection
        self._hub = hub
        self._clock = clock
        self._pending: deque[tuple[EventType, bytes]] = deque()
        self._wake = asyncio.Event()
        self._overrun = False
        self._closed = False

    def __aiter__(self) -> "Watch":
        return self

    async def __anext__(self) -> WatchEvent:
        """The next event. Raises ExpiredError when this reader fell too far behind."""
        while not self._pending:
            if self._overrun:
                raise ExpiredError("too old resource version: the watch fell behind and was ended")
            if self._closed:
                raise StopAsyncIteration
            self._wake.clear()
            if self._clock is None:
                await self._wake.wait()
            elif not await self._woken_before_bookmark(self._clock):
                return WatchEvent(EventType.BOOKMARK, self._bookmark())
        type_, body = self._pending.popleft()
        return WatchEvent(type_, decode(body))

    async def aclose(self) -> None:
        """Unsubscribe; a read that waits ends."""
        self.close()

    def close(self) -> None:
        """Unsubscribe; a read that waits ends."""
        self._closed = True
        self._pending.clear()
        self._wake.set()
        self._hub.forget(self, self._gvk)

    def begin(self, bodies: Iterable[bytes]) -> None:
        """Queue an ADDED for each object that exists already, and with bookmarks the mark of their end."""
        self._pending.extend((EventType.ADDED, body) for body in bodies)
        if self._clock is not None:
            bookmark = self._bookmark()
            bookmark["metadata"]["annotations"] = {INITIAL_EVENTS_END: "true"}
            self._pending.append((EventType.BOOKMARK, encode(bookmark)))

    def offer(self, change: Change) -> None:
        """Queue what the reader should see of a change of its kind."""
        if self._overrun or (self._namespace and change.key.namespace != self._namespace):
            return
        event = self._selection.event(change)
        if event is None:
            return
        self._pending.append(event)
        if len(self._pending) > PENDING_CHANGES:
            self._overrun = True
            self._pending.clear()
            self._hub.forget(self, self._gvk)
        self._wake.set()

    async def _woken_before_bookmark(self, clock: Clock) -> bool:
        waits = [asyncio.ensure_future(self._wake.wait()), asyncio.ensure_future(clock.sleep(BOOKMARK_SECONDS))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return self._wake.is_set()
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    def _bookmark(self) -> Object:
        metadata = {"creationTimestamp": None, "resourceVersion": str(self._hub.revision)}
        return {"kind": self._gvk.kind, "apiVersion": self._gvk.api_version, "metadata": metadata}


class Hub:
    """All watches, found by kind. Listens to the store's commits."""

    def __init__(self, revision: int) -> None:
        self.revision = revision
        self._watches: defaultdict[tuple[str, str], WeakSet[Watch]] = defaultdict(WeakSet)

    def add(self, watch: Watch, gvk: GVK) -> None:
        """Deliver changes of this kind to `watch` until it is forgotten."""
        self._watches[gvk.group, gvk.kind].add(watch)

    def forget(self, watch: Watch, gvk: GVK) -> None:
        """Deliver nothing more to `watch`."""
        self._watches[gvk.group, gvk.kind].discard(watch)

    def publish(self, changes: list[Change]) -> None:
        """Deliver committed changes."""
        for change in changes:
            self.revision = change.revision
            for watch in list(self._watches.get((change.key.group, change.key.kind), ())):
                watch.offer(change)

    def close(self) -> None:
        """End every watch."""
        for watches in list(self._watches.values()):
            for watch in list(watches):
                watch.close()

    @property
    def count(self) -> int:
        """How many watches are subscribed."""
        return sum(map(len, self._watches.values()))
