"""Tells outside listeners of pushes: the CNCF distribution's event envelope, signed, in order, until it is taken.

    POST <url>   Content-Type: application/vnd.docker.distribution.events.v2+json
                 X-Towpath-Signature: sha256=<HMAC-SHA256 of the body's bytes, hex>
                 X-Towpath-Sequence: <number>

A listener takes an event by answering 2xx; anything else is tried again after a back-off, for ever, and later events
wait their turn. One that has taken an event and could not say so gets it again: the sequence number tells. What is to
be told stands in `outbox`. A push that could not be noted there is found by comparing tags with what was told of them.
"""

import asyncio
import hmac
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import orjson

from towpath.aio.backoff import Backoff
from towpath.aio.clock import Clock, format_rfc3339
from towpath.aio.tasks import Background
from towpath.errors import RemoteError, TowpathError, UserError
from towpath.http.client import HttpClient, Request
from towpath.registry.outbox import Outbox, StoredEvent, ToldTag
from towpath.registry.protocol.exchange import PushEvent

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/vnd.docker.distribution.events.v2+json"
SIGNATURE_HEADER = "X-Towpath-Signature"
SEQUENCE_HEADER = "X-Towpath-Sequence"
# A listener that cannot say "taken" so soon should take first and work later.
ANSWER_SECONDS = 10.0
RETRY = Backoff(initial_seconds=1.0, factor=2.0, cap_seconds=300.0)
# How soon a rewind by the command line is noticed.
LOOK_SECONDS = 5.0
# How soon a push that could not be noted is found, at the second look that sees it; ten thousand tags cost 20 ms.
COMPARE_SECONDS = 60.0
_USER_INFO = re.compile(r"[^/]*@")
TagReader = Callable[[], Awaitable[dict[tuple[str, str], str]]]


@dataclass(frozen=True, slots=True)
class NotificationSettings:
    """Whom to tell, and what signs it."""

    urls: Sequence[str]
    secret: bytes
    instance: str = "towpath"


@dataclass(frozen=True, slots=True)
class _Difference:
    """What was told of a tag, and what it is."""

    told: str
    digest: str


class Notifier:
    """The notifications of one registry."""

    def __init__(
        self, outbox: Outbox, settings: NotificationSettings, *, clock: Clock, new_id: Callable[[], str]
    ) -> None:
        """Prepare; nobody is told before `start`. Raises UserError for an address that nobody can be told at."""
        for url in settings.urls:
            check_url(url)
        self._outbox = outbox
        self._settings = settings
        self._clock = clock
        self._new_id = new_id
        self._http = HttpClient(timeout_seconds=ANSWER_SECONDS, attempts=1, clock=clock)
        self._background = Background()
        self._news = {url: asyncio.Event() for url in settings.urls}
        self._untold: dict[tuple[str, str], _Difference] = {}

    async def start(self, read_tags: TagReader) -> None:
        """Find what was pushed and never told, then begin to tell. Raises TowpathError."""
        await asyncio.to_thread(self._outbox.listen, self._settings.urls)
        tags = await read_tags()
        if not self._outbox.is_new:
            told = await asyncio.to_thread(self._outbox.told)
            for (repository, tag), digest in sorted(tags.items()):
                if told.get((repository, tag)) != digest:
                    await self.pushed(PushEvent(repository, tag, digest, told.get((repository, tag), "")))
        await asyncio.to_thread(self._outbox.take_stock, tags)
        for url in self._settings.urls:
            self._background.run_forever(f"notifications to {url}", partial(self._serve, url))
        self._background.run_forever("notifications that were missed", partial(self._compare_for_ever, read_tags))

    async def close(self) -> None:
        """Stop telling; what was not taken is kept."""
        await self._background.close()
        await self._http.close()
        await asyncio.to_thread(self._outbox.close)

    async def pushed(self, event: PushEvent) -> None:
        """Keep the event, durably, and have it told. Raises TowpathError."""
        await self._keep(event)

    async def _keep(self, event: PushEvent, *, unless_moved_from: str | None = None) -> None:
        at = self._clock.now()
        identity = self._new_id()

        def format_event(sequence: int) -> bytes:
            document = event_document(event, at=at, identity=identity, sequence=sequence)
            document["source"] = {"addr": event.origin.host, "instanceID": self._settings.instance}
            return orjson.dumps({"events": [document]})

        tag = ToldTag(event.repository, event.tag, event.digest)
        await asyncio.to_thread(
            self._outbox.add, tag, at=at, format_event=format_event, unless_moved_from=unless_moved_from
        )
        for news in self._news.values():
            news.set()

    async def _compare_for_ever(self, read_tags: TagReader) -> None:
        while True:
            await self._clock.sleep(COMPARE_SECONDS)
            try:
                await self._tell_missed(read_tags)
            except TowpathError as error:
                log.warning("pushes may not be told yet: %s", error.message)

    async def _tell_missed(self, read_tags: TagReader) -> None:
        """Tell what the last look saw already: a push that is seen once may be about to tell of itself."""
        told = await asyncio.to_thread(self._outbox.told)
        seen, self._untold = self._untold, {}
        for key, digest in sorted((await read_tags()).items()):
            difference = _Difference(told.get(key, ""), digest)
            if digest == difference.told:
                continue
            if seen.get(key) != difference:
                self._untold[key] = difference
                continue
            self._untold[key] = difference  # until it is kept
            event = PushEvent(*key, digest, difference.told)
            await self._keep(event, unless_moved_from=difference.told)
            del self._untold[key]

    async def _serve(self, url: str) -> None:
        failures = 0
        while True:
            self._news[url].clear()
            turn = await asyncio.to_thread(self._outbox.next_for, url)
            if turn is None:
                await self._wait_for_news(url)
                continue
            event = turn.event
            problem = await self._tell(url, event)
            if not problem:
                failures = 0
                await asyncio.to_thread(self._outbox.taken, url, turn)
                continue
            failures += 1
            if failures == 1:
                log.warning("listener %s did not take event %d (%s); it is tried again", url, event.sequence, problem)
            await asyncio.to_thread(self._outbox.failed, url, problem)
            await self._clock.sleep(RETRY.delay(failures))

    async def _wait_for_news(self, url: str) -> None:
        looking = asyncio.create_task(self._clock.sleep(LOOK_SECONDS))
        news = asyncio.create_task(self._news[url].wait())
        try:
            await asyncio.wait({looking, news}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            looking.cancel()
            news.cancel()

    async def _tell(self, url: str, event: StoredEvent) -> str:
        """Send one event; what went wrong, or nothing."""
        headers = {
            "Content-Type": MEDIA_TYPE,
            SIGNATURE_HEADER: sign(event.body, self._settings.secret),
            SEQUENCE_HEADER: str(event.sequence),
        }
        try:
            async with await self._http.send(Request("POST", url, headers, event.body)) as response:
                return "" if 200 <= response.status < 300 else f"answered {response.status}"
        except RemoteError as error:
            return error.message


def event_document(event: PushEvent, *, at: float, identity: str, sequence: int) -> dict[str, Any]:
    """An event of the envelope, with the fields that the distribution project gives its own."""
    origin = event.origin
    base = f"{origin.scheme}://{origin.host}" if origin.host else ""
    return {
        "id": identity,
        "sequence": sequence,
        "timestamp": format_rfc3339(at),
        "action": "push",
        "target": {
            "mediaType": event.media_type,
            "size": event.size,
            "length": event.size,
            "digest": event.digest,
            "repository": event.repository,
            "url": f"{base}/v2/{event.repository}/manifests/{event.digest}",
            "tag": event.tag,
            "previousDigest": event.before,
        },
        "request": {"addr": origin.remote, "host": origin.host, "method": "PUT", "useragent": origin.user_agent},
        "actor": {"name": origin.caller},
    }


def sign(body: bytes, secret: bytes) -> str:
    """The signature of a body, as it stands in the header."""
    return "sha256=" + hmac.digest(secret, body, "sha256").hex()


def check_url(url: str) -> None:
    """Refuse what nobody can be told at. Raises UserError."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
        has_password = "@" in parts.netloc
    except ValueError:
        usable = has_password = False
    if not usable:
        shown = _USER_INFO.sub("***@", url)[:80]
        raise UserError(
            f"listener {shown!r} cannot be told (BadURL): expected http://… or https://…",
            hint="for example: https://listener.lan/hook",
        )
    if has_password:
        raise UserError(
            f"listener at {parts.hostname} cannot be told (Password): a URL is seen by everyone on this machine",
            hint=f"leave the password out, and have the listener check {SIGNATURE_HEADER}",
        )
