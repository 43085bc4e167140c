"""`towpath registry notifications`: who is told of pushes, what of, and telling it again."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from towpath.registry.notifications import event_document
from towpath.registry.outbox import Outbox, ToldTag
from towpath.registry.protocol.exchange import Origin, PushEvent

Type = Callable[..., Any]
URL = "http://listener.test/hook"


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    made = Outbox(tmp_path)
    made.listen([URL])
    for number in (1, 2):
        event = PushEvent("home/lamp", "canary", f"sha256:{number}", origin=Origin("ci"))

        def format_event(sequence: int, event: PushEvent = event) -> bytes:
            return orjson.dumps({"events": [event_document(event, at=0.0, identity="x", sequence=sequence)]})

        tag = ToldTag(event.repository, event.tag, event.digest)
        made.add(tag, at=1_769_851_800.0, format_event=format_event)
    yield made
    made.close()


def take(outbox: Outbox, url: str, *, until: int) -> None:
    """Have a listener take events up to a number."""
    while (turn := outbox.next_for(url)) is not None and turn.event.sequence <= until:
        outbox.taken(url, turn)


def test_listeners_are_shown_with_what_stands_in_their_way(outbox: Outbox, tmp_path: Path, type_: Type) -> None:
    take(outbox, URL, until=1)
    outbox.failed(URL, "answered 500")
    said = type_("registry", "notifications", "--root", str(tmp_path))
    assert said.lines[1].split() == [URL, "1", "1", "answered", "500", "(1", "x)"]
    document = type_("registry", "notifications", "--root", str(tmp_path), "-o", "json").json()
    assert document["listeners"] == [
        {"url": URL, "taken": 1, "waiting": 1, "failures": 1, "problem": "answered 500"},
    ]


@pytest.mark.usefixtures("outbox")
def test_events_are_shown_from_a_number_on(tmp_path: Path, type_: Type) -> None:
    said = type_("registry", "notifications", "--root", str(tmp_path), "--after", "1")
    assert said.lines[1].split() == ["2", "2026-01-31T09:30:00Z", "home/lamp", "canary", "sha256:2", "ci"]
    document = type_("registry", "notifications", "--root", str(tmp_path), "--after", "0", "-o", "json").json()
    assert [event["sequence"] for event in document["events"]] == [1, 2]


def test_a_listener_is_told_again(outbox: Outbox, tmp_path: Path, type_: Type) -> None:
    take(outbox, URL, until=2)
    said = type_("registry", "notifications", "--root", str(tmp_path), "--replay", URL, "--after", "0")
    assert said.code == 0
    assert [one.taken for one in outbox.listeners()] == [0]


@pytest.mark.usefixtures("outbox")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("--replay", URL), 2), (("--replay", "http://x/", "--after", "0"), 4), (("--after", "x"), 2)],
)
def test_wrong_input_is_said(tmp_path: Path, type_: Type, arguments: tuple[str, ...], code: int) -> None:
    assert type_("registry", "notifications", "--root", str(tmp_path), *arguments).code == code


def test_a_registry_that_tells_nobody_says_so(tmp_path: Path, type_: Type) -> None:
    said = type_("registry", "notifications", "--root", str(tmp_path))
    assert (said.code, "--notify URL" in said.err) == (4, True)


@pytest.mark.usefixtures("outbox")
@pytest.mark.parametrize("url", ["http://user:pa55word@listener.test/hook", "ftp://user:pa55word@listener.test/hook"])
def test_a_password_in_an_address_is_refused_and_not_repeated(tmp_path: Path, type_: Type, url: str) -> None:
    said = type_("registry", "notifications", "--root", str(tmp_path), "--replay", url, "--after", "0")
    assert said.code == 2
    assert "cannot be told" in said.err
    assert "pa55word" not in said.err + said.out
