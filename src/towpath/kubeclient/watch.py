"""Watches that outlive their connections.

A stream ends for many reasons that concern nobody: the server's time limit, a restart, a network that forgot the
connection. It is begun again from the last version seen, which bookmarks move on even where nothing happens. Only a
version that is too old (ExpiredError) and a refusal are the reader's business.
"""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from towpath.aio.backoff import Backoff
from towpath.aio.clock import Clock
from towpath.kube.errors import ApiError, ServerTimeoutError, ServiceUnavailableError, TooManyRequestsError
from towpath.kube.requests import WatchEvent
from towpath.kubeclient.discovery import ServedKind
from towpath.kubeclient.request import prepare_watch
from towpath.kubeclient.transport import Transport
from towpath.kubeclient.watch_lines import WatchDecoder

log = logging.getLogger(__name__)

# Within kube-apiserver's range of 5 to 10 minutes for clients that name a limit.
STREAM_SECONDS = 540
# Bookmarks come about every minute: two and a half without a word is a dead connection.
IDLE_SECONDS = 150.0
# A stream that ends sooner, without an event, is a failure whatever the server calls it.
SHORT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a kind: of a namespace ("" for all), by labels, by fields."""

    namespace: str
    labels: str
    fields: str


class Watcher:
    """Makes watches on one transport."""

    def __init__(self, transport: Transport, *, clock: Clock, backoff: Backoff | None = None) -> None:
        self._transport = transport
        self._clock = clock
        self._backoff = backoff or Backoff(initial_seconds=0.2, cap_seconds=30.0)

    async def events(
        self, kind: ServedKind, selection: Selection, resource_version: str
    ) -> AsyncGenerator[WatchEvent, None]:
        """Events after a version, without end. Raises ExpiredError, and ApiError for a refusal."""
        failures = 0
        decoder = WatchDecoder(resource_version)
        while True:
            began, version = self._clock.monotonic(), decoder.resource_version
            decoder = WatchDecoder(version)
            try:
                stream = self._stream(kind, selection, decoder)
                async with aclosing(stream):
                    async for event in stream:
                        yield event
            except ApiError as error:
                if not _is_passing(error):
                    raise
                failures += 1
                level = logging.WARNING if failures == 1 else logging.DEBUG
                log.log(level, "watch of %s broke off and is resumed: %s", kind.group_resource, error.message)
            else:
                lived = self._clock.monotonic() - began
                failures = failures + 1 if lived < SHORT_SECONDS else 0
            if decoder.resource_version != version:
                failures = 0
            if failures:
                await self._clock.sleep(self._backoff.delay(failures))

    async def _stream(
        self, kind: ServedKind, selection: Selection, decoder: WatchDecoder
    ) -> AsyncGenerator[WatchEvent, None]:
        """The events of one connection."""
        prepared = prepare_watch(
            kind,
            selection.namespace,
            labels=selection.labels,
            fields=selection.fields,
            resource_version=decoder.resource_version,
            timeout_seconds=STREAM_SECONDS,
        )
        async with self._transport.stream(prepared, idle_seconds=IDLE_SECONDS) as pieces:
            async for piece in pieces:
                for event in decoder.feed(piece):
                    yield event


def _is_passing(error: ApiError) -> bool:
    """Whether a watch that failed so may well succeed later, without anybody's doing."""
    if isinstance(error, ServiceUnavailableError | ServerTimeoutError | TooManyRequestsError):
        return True
    return error.code == 500
