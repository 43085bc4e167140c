"""Outside listeners are told of pushes: signed, in order, until they have taken it, across restarts."""

import asyncio
import hmac
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fakes.clock import VirtualClock
from towpath.aio.clock import Clock, SystemClock
from towpath.errors import NotFoundError, TowpathError, UserError
from towpath.http.server import Listener
from towpath.registry.notifications import COMPARE_SECONDS, MEDIA_TYPE, NotificationSettings, Notifier, sign
from towpath.registry.outbox import FILE, Outbox, ToldTag
from towpath.registry.protocol.exchange import Origin, PushEvent

SECRET = b"shared"
PATIENCE_SECONDS = 60


class Subscriber:
    """An outside listener that answers as a test says."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        self.came = asyncio.Condition()
        app = Starlette(routes=[Route("/hook", self.take, methods=["POST"])])
        self.listener = Listener(app, grace_seconds=0.1)

    async def take(self, request: Request) -> Response:
        self.got.append((dict(request.headers), await request.body()))
        async with self.came:
            self.came.notify_all()
        return Response(status_code=self.answers.pop(0) if self.answers else 204)

    @property
    def url(self) -> str:
        return f"{self.listener.url}/hook"

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for _, body in self.got for event in json.loads(body)["events"]]

    @property
    def sequence(self) -> list[int]:
        return [event["sequence"] for event in self.events]

    async def until(self, number: int) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), self.came:
            await self.came.wait_for(lambda: len(self.got) >= number)


@pytest.fixture
async def subscriber() -> AsyncIterator[Subscriber]:
    made = Subscriber()
    await made.listener.start()
    yield made
    await made.listener.close()


class Shop:
    """A registry's tags, and a notifier over them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tags: dict[tuple[str, str], str] = {}

    @asynccontextmanager
    async def open(self, *urls: str, clock: Clock | None = None) -> AsyncIterator[Notifier]:
        numbers = count(1)
        settings = NotificationSettings(urls, SECRET, instance="lab")
        self.outbox = Outbox(self.root)
        notifier = Notifier(self.outbox, settings, clock=clock or SystemClock(), new_id=lambda: f"id-{next(numbers)}")

        async def read_tags() -> dict[tuple[str, str], str]:
            return self.tags

        await notifier.start(read_tags)
        try:
            yield notifier
        finally:
            await notifier.close()

    async def until_taken(self, subscriber: Subscriber, sequence: int) -> None:
        """Wait until it is noted that the subscriber has taken an event: only then is it not told again."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while {one.url: one.taken for one in self.outbox.listeners()}[subscriber.url] < sequence:  # noqa: ASYNC110 - a file
                await asyncio.sleep(0.005)

    def set(self, tag: str, digest: str) -> PushEvent:
        before = self.tags.get(("lab/app", tag), "")
        self.tags["lab/app", tag] = digest
        origin = Origin("ci", "10.0.0.7", "skopeo/1.9", "registry.lan:5000", "https")
        return PushEvent("lab/app", tag, digest, before, "application/vnd.oci.image.manifest.v1+json", 512, origin)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


async def test_an_event_is_the_distributions_envelope_signed(shop: Shop, subscriber: Subscriber) -> None:
    async with shop.open(subscriber.url, clock=VirtualClock()) as notifier:
        await notifier.pushed(shop.set("canary", "sha256:1"))
        await subscriber.until(1)
    ((headers, body),) = subscriber.got
    assert headers["content-type"] == MEDIA_TYPE
    assert headers["x-towpath-signature"] == "sha256=" + hmac.new(SECRET, body, "sha256").hexdigest()
    assert headers["x-towpath-sequence"] == "1"
    assert subscriber.events == [
        {
            "id": "id-1",
            "sequence": 1,
            "timestamp": "2026-01-31T09:30:00Z",
            "action": "push",
            "target": {
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "size": 512,
                "length": 512,
                "digest": "sha256:1",
                "repository": "lab/app",
                "url": "https://registry.lan:5000/v2/lab/app/manifests/sha256:1",
                "tag": "canary",
                "previousDigest": "",
            },
            "request": {
                "addr": "10.0.0.7",
                "host": "registry.lan:5000",
                "method": "PUT",
                "useragent": "skopeo/1.9",
            },
            "actor": {"name": "ci"},
            "source": {"addr": "registry.lan:5000", "instanceID": "lab"},
        }
    ]


async def test_a_refused_event_is_told_again_and_later_ones_wait_their_turn(shop: Shop, subscriber: Subscriber) -> None:
    clock = VirtualClock()
    subscriber.answers = [500, 302, 404]
    async with shop.open(subscriber.url, clock=clock) as notifier:
        await notifier.pushed(shop.set("canary", "sha256:1"))
        await notifier.pushed(shop.set("canary", "sha256:2"))
        for number in (1, 2, 3):
            await subscriber.until(number)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while clock.sleepers < 2:  # noqa: ASYNC110 - a clock tells nobody; one sleeper compares tags
                    await asyncio.sleep(0.001)
            await clock.advance(600)
        await subscriber.until(5)
    assert subscriber.sequence == [1, 1, 1, 1, 2]


async def test_what_was_not_taken_is_told_after_a_restart(shop: Shop, subscriber: Subscriber) -> None:
    async with shop.open("http://127.0.0.1:1/hook") as notifier:
        await notifier.pushed(shop.set("canary", "sha256:1"))
    outbox = Outbox(shop.root)
    outbox.listen(["http://127.0.0.1:1/hook", subscriber.url])
    outbox.rewind(subscriber.url, after=0)
    outbox.close()
    async with shop.open(subscriber.url):
        await subscriber.until(1)
    assert subscriber.sequence == [1]


async def test_a_push_whose_process_died_before_it_could_tell_is_found_at_the_next_start(
    shop: Shop, subscriber: Subscriber
) -> None:
    shop.set("old", "sha256:0")
    async with shop.open(subscriber.url) as notifier:
        await notifier.pushed(shop.set("canary", "sha256:1"))
        await shop.until_taken(subscriber, 1)
    shop.set("canary", "sha256:2")  # in the catalogue, and then the process was gone
    async with shop.open(subscriber.url):
        await subscriber.until(2)
    assert [(event["target"]["tag"], event["target"]["digest"]) for event in subscriber.events] == [
        ("canary", "sha256:1"),
        ("canary", "sha256:2"),
    ]
    assert subscriber.events[1]["target"]["previousDigest"] == "sha256:1"


async def until_told(clock: VirtualClock, subscriber: Subscriber, number: int) -> None:
    """Let time pass until so many events were told."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(subscriber.got) < number:
            await clock.advance(COMPARE_SECONDS)
            await asyncio.sleep(0.002)


async def test_a_push_that_could_not_be_noted_is_told_once_when_there_is_space_again(
    shop: Shop, subscriber: Subscriber, caplog: pytest.LogCaptureFixture
) -> None:
    clock = VirtualClock()
    async with shop.open(subscriber.url, clock=clock) as notifier:
        await notifier.pushed(shop.set("canary", "sha256:1"))
        await subscriber.until(1)
        change(shop, "CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
        with pytest.raises(TowpathError, match="disk is full"):
            await notifier.pushed(shop.set("canary", "sha256:2"))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while "may not be told yet" not in caplog.text:
                await clock.advance(COMPARE_SECONDS)
                await asyncio.sleep(0.002)
        change(shop, "DROP TRIGGER full")
        await until_told(clock, subscriber, 2)
        await notifier.pushed(shop.set("canary", "sha256:3"))
        await until_told(clock, subscriber, 3)
    assert [
        (event["target"]["tag"], event["target"]["digest"], event["target"]["previousDigest"])
        for event in subscriber.events
    ] == [
        ("canary", "sha256:1", ""),
        ("canary", "sha256:2", "sha256:1"),
        ("canary", "sha256:3", "sha256:2"),
    ]


def change(shop: Shop, statement: str) -> None:
    """Change the outbox behind the registry's back."""
    with sqlite3.connect(shop.root / FILE) as database:
        database.execute(statement)
    database.close()


def test_what_was_missed_is_not_told_over_what_was_told_meanwhile(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    fill(outbox, 2)
    late = ToldTag("lab/app", "canary", "sha256:late")
    missed = partial(outbox.add, late, at=0.0, format_event=lambda sequence: b"%d" % sequence)
    assert missed(unless_moved_from="sha256:0") is None
    assert missed(unless_moved_from="sha256:1") == 3
    assert outbox.told() == {("lab/app", "canary"): "sha256:late"}
    outbox.close()


async def test_what_was_there_before_anybody_listened_is_no_news(shop: Shop, subscriber: Subscriber) -> None:
    shop.set("old", "sha256:0")
    Outbox(shop.root).close()  # died before it could take stock
    async with shop.open(subscriber.url) as notifier:
        await notifier.pushed(shop.set("canary", "sha256:1"))
        await subscriber.until(1)
    assert [event["target"]["tag"] for event in subscriber.events] == ["canary"]


async def test_a_listener_that_is_down_holds_nobody_up(shop: Shop, subscriber: Subscriber) -> None:
    async with shop.open("http://127.0.0.1:1/hook", subscriber.url) as notifier:
        await notifier.pushed(shop.set("canary", "sha256:1"))
        await subscriber.until(1)


async def test_a_listener_may_be_told_again_from_any_number_on(shop: Shop, subscriber: Subscriber) -> None:
    async with shop.open(subscriber.url) as notifier:
        for number in range(3):
            await notifier.pushed(shop.set("canary", f"sha256:{number}"))
        await shop.until_taken(subscriber, 3)
    outbox = Outbox(shop.root)
    outbox.rewind(subscriber.url, after=1)
    with pytest.raises(NotFoundError, match="there are http"):
        outbox.rewind("http://other.test/", after=0)
    outbox.close()
    async with shop.open(subscriber.url):
        await subscriber.until(5)
    assert subscriber.sequence == [1, 2, 3, 2, 3]


def fill(outbox: Outbox, number: int) -> None:
    for each in range(number):
        tag = ToldTag("lab/app", "canary", f"sha256:{each}")
        outbox.add(tag, at=float(each), format_event=lambda sequence: b"%d" % sequence)


def test_numbers_only_grow_and_few_events_are_kept(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, kept_events=3)
    fill(outbox, 5)
    assert [event.sequence for event in outbox.events(after=0, limit=10)] == [3, 4, 5]
    assert [event.body for event in outbox.events(after=3, limit=1)] == [b"4"]
    outbox.close()
    again = Outbox(tmp_path, kept_events=3)
    fill(again, 1)
    assert [event.sequence for event in again.events(after=5, limit=10)] == [6]
    again.close()


def take(outbox: Outbox, url: str, *, until: int) -> None:
    """Have a listener take events up to a number."""
    while (turn := outbox.next_for(url)) is not None and turn.event.sequence <= until:
        outbox.taken(url, turn)


def test_a_rewind_while_an_event_is_on_its_way_is_not_undone(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    outbox.listen(["http://a.test/"])
    fill(outbox, 5)
    take(outbox, "http://a.test/", until=4)
    turn = outbox.next_for("http://a.test/")
    assert turn is not None
    outbox.rewind("http://a.test/", after=1)  # by the command line, meanwhile
    outbox.taken("http://a.test/", turn)
    assert [(one.taken, one.waiting) for one in outbox.listeners()] == [(1, 4)]
    outbox.close()


def test_it_is_known_how_far_each_listener_is(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    fill(outbox, 1)
    outbox.listen(["http://a.test/", "http://b.test/"])
    fill(outbox, 2)
    take(outbox, "http://a.test/", until=2)
    outbox.failed("http://b.test/", "answered 500")
    assert [(one.taken, one.waiting, one.failures, one.problem) for one in outbox.listeners()] == [
        (2, 1, 0, ""),
        (1, 2, 1, "answered 500"),
    ]
    outbox.listen(["http://b.test/"])
    assert [one.url for one in outbox.listeners()] == ["http://b.test/"]
    outbox.close()


def test_a_damaged_outbox_is_said(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database at all, but long enough to be taken for one" * 100)
    with pytest.raises(TowpathError, match="cannot be used"):
        Outbox(tmp_path)
    with pytest.raises(NotFoundError, match="nobody was ever"):
        Outbox(tmp_path / "elsewhere", must_exist=True)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "BadURL"),
        ("ftp://x/", "BadURL"),
        ("http://", "BadURL"),
        ("http://[", "BadURL"),
        ("http://a:b@x/", "Password"),
    ],
)
def test_addresses_that_nobody_can_be_told_at_are_refused(tmp_path: Path, url: str, reason: str) -> None:
    outbox = Outbox(tmp_path)
    with pytest.raises(UserError, match=reason):
        Notifier(outbox, NotificationSettings([url], SECRET), clock=SystemClock(), new_id=str)
    outbox.close()


def test_a_signature_is_over_the_raw_bytes() -> None:
    assert sign(b"{}", b"key") == "sha256=" + hmac.new(b"key", b"{}", "sha256").hexdigest()
