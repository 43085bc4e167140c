import json
from typing import Any

import pytest

from towpath.kube.errors import ExpiredError, ServiceUnavailableError
from towpath.kube.requests import WatchEvent
from towpath.kubeclient.watch_lines import LONGEST_LINE_BYTES, WatchDecoder


def line(type_: str, version: str, **rest: Any) -> bytes:
    obj = {"kind": "ConfigMap", "metadata": {"name": f"é{version}", "resourceVersion": version}, **rest}
    return json.dumps({"type": type_, "object": obj}, ensure_ascii=False).encode() + b"\n"


STREAM = line("ADDED", "5") + line("BOOKMARK", "8") + b"\n" + line("MODIFIED", "9") + line("DELETED", "12")
SEEN = [("ADDED", "5"), ("MODIFIED", "9"), ("DELETED", "12")]


def seen(events: list[WatchEvent]) -> list[tuple[str, str]]:
    return [(str(event.type), event.object["metadata"]["resourceVersion"]) for event in events]


@pytest.mark.parametrize("size", [1, 2, 7, 64, len(STREAM)])
def test_a_stream_is_decoded_whatever_its_pieces(size: int) -> None:
    decoder = WatchDecoder("1")
    pieces = [STREAM[start : start + size] for start in range(0, len(STREAM), size)]
    events = [event for piece in pieces for event in decoder.feed(piece)]
    assert seen(events) == SEEN
    assert decoder.resource_version == "12"


def test_a_line_that_was_cut_off_is_no_event() -> None:
    decoder = WatchDecoder("1")
    assert seen(list(decoder.feed(STREAM + line("ADDED", "20")[:-1]))) == SEEN
    assert decoder.resource_version == "12"


def test_a_bookmark_moves_the_version_and_is_not_handed_out() -> None:
    decoder = WatchDecoder("1")
    assert list(decoder.feed(line("BOOKMARK", "70"))) == []
    assert decoder.resource_version == "70"


def test_the_version_is_that_of_the_event_just_handed_out() -> None:
    decoder = WatchDecoder("1")
    events = decoder.feed(STREAM)
    next(events)
    assert decoder.resource_version == "5"


def test_an_error_event_is_raised_as_the_error_it_carries() -> None:
    status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version: 1 (7)"}
    content = line("ADDED", "5") + json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"
    events = WatchDecoder("1").feed(content)
    assert next(events).type == "ADDED"
    with pytest.raises(ExpiredError, match="too old resource version"):
        next(events)


@pytest.mark.parametrize("content", [b"<html>\n", b"{}\n", b'{"type":"NEW","object":{}}\n', b"5\n"])
def test_a_line_that_is_no_event_is_the_server_s_fault(content: bytes) -> None:
    with pytest.raises(ServiceUnavailableError, match="no event"):
        list(WatchDecoder("1").feed(content))


def test_a_line_without_end_is_not_gathered_for_ever() -> None:
    with pytest.raises(ServiceUnavailableError, match="a line of more than"):
        list(WatchDecoder("1").feed(b"x" * (LONGEST_LINE_BYTES + 1)))
