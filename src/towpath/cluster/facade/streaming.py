"""Answers that go on: watches as one JSON document a line, logs as text.

A watch ends at its timeout, when the client goes, or when the kernel ends it; a version that is too old becomes an
ERROR event in a successful answer, as the real server does.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Protocol, Unpack

import orjson

from towpath.aio.clock import Clock
from towpath.cluster.facade.paths import ResourceRequest
from towpath.cluster.facade.representation import Representation, partial, table
from towpath.cluster.kernel.kernel import Kernel
from towpath.cluster.kernel.watch import Watch
from towpath.kube.errors import ApiError
from towpath.kube.objects import Object, metadata_of
from towpath.kube.requests import EventType, LogOptions, WatchEvent

# Upstream draws between 30 and 60 minutes; the client starts again from where it was.
WATCH_SECONDS = 1800.0


class PodLogs(Protocol):
    """Where the output of containers comes from."""

    def logs(self, namespace: str, pod: str, container: str, **options: Unpack[LogOptions]) -> AsyncIterator[bytes]:
        """The output in chunks. Raises ApiError before the first chunk."""
        ...


class EventEncoder:
    """Encodes the events of one watch in the form the client asked for."""

    def __init__(self, request: ResourceRequest, representation: Representation, clock: Clock) -> None:
        self._kind = request.resource.gvk.kind
        self._representation = representation
        self._clock = clock
        self._first = True

    def encode(self, event: WatchEvent) -> bytes:
        """One line."""
        return orjson.dumps({"type": event.type, "object": self._object(event)}) + b"\n"

    def _object(self, event: WatchEvent) -> Object:
        if event.type is EventType.ERROR or self._representation is Representation.OBJECT:
            return event.object
        if self._representation is Representation.METADATA:
            return partial(event.object)
        definitions, self._first = self._first, False
        metadata = {"resourceVersion": str(metadata_of(event.object).get("resourceVersion") or "")}
        # A bookmark is a row too: kubectl reads the resource version and the end mark from the row's object.
        return table(self._kind, [event.object], now=self._clock.now(), list_metadata=metadata, definitions=definitions)


def open_watch(kernel: Kernel, request: ResourceRequest, query: Mapping[str, str]) -> Watch:
    """Subscribe as the query asks. Raises BadRequestError, ExpiredError."""
    fields = query.get("fieldSelector", "")
    if request.name:
        fields = f"metadata.name={request.name}" + (f",{fields}" if fields else "")
    initial = query.get("sendInitialEvents", "").lower() == "true"
    return kernel.watch(
        request.resource.gvk,
        request.namespace,
        labels=query.get("labelSelector", ""),
        fields=fields,
        # The streaming list of newer clients: everything first, then the bookmark that says so.
        resource_version="" if initial else query.get("resourceVersion", ""),
        bookmarks=initial or query.get("allowWatchBookmarks", "").lower() in {"true", "1"},
    )


async def watch_lines(watch: Watch, encoder: EventEncoder, *, timeout_seconds: float) -> AsyncIterator[bytes]:
    """The events of a watch, until its time is up."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_seconds
    try:
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    event = await anext(watch)
            except (StopAsyncIteration, TimeoutError):
                return
            except ApiError as error:
                yield encoder.encode(WatchEvent(EventType.ERROR, error.status()))
                return
            yield encoder.encode(event)
    finally:
        watch.close()


async def begin(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same chunks, the first already fetched: an error of the source is raised here and can become a status."""
    try:
        first = await anext(chunks)
    except StopAsyncIteration:
        return _chain(b"", chunks)
    return _chain(first, chunks)


async def _chain(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if first:
        yield first
    async for chunk in rest:
        yield chunk
