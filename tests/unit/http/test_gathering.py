"""What a transport is given, and what it is made to send."""

import asyncio
from typing import Any

import pytest

from towpath.http.gathering import SMALL_BYTES, GatheringTransport

HEAD, BODY = b"HTTP/1.1 200 OK\r\n\r\n", b"body"
LARGE = bytes(SMALL_BYTES + 1)


class WrittenTransport(asyncio.Transport):
    """Keeps what is written, each write apart."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.calls: list[str] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")

    def is_closing(self) -> bool:
        return bool(self.calls)

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")

    def is_reading(self) -> bool:
        return self.calls[-1:] != ["pause"]

    def get_write_buffer_size(self) -> int:
        return 5

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.calls.append(f"limits {high} {low}")

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"socket": "its socket"}.get(name, default)


@pytest.fixture
def below() -> WrittenTransport:
    return WrittenTransport()


def test_a_write_goes_out_at_once_unless_it_is_to_be_held(below: WrittenTransport) -> None:
    GatheringTransport(below).write(HEAD)
    assert below.written == [HEAD]


def test_a_head_goes_out_with_the_small_body_behind_it(below: WrittenTransport) -> None:
    transport = GatheringTransport(below)
    transport.hold_next()
    transport.write(HEAD)
    assert below.written == []
    transport.write(memoryview(BODY))
    transport.write(b"more")
    assert below.written == [HEAD + BODY, b"more"]


def test_a_large_body_is_not_copied_for_its_head(below: WrittenTransport) -> None:
    transport = GatheringTransport(below)
    transport.hold_next()
    transport.write(HEAD)
    transport.write(LARGE)
    assert below.written == [HEAD, LARGE]


def test_what_is_held_goes_out_when_it_is_flushed_once(below: WrittenTransport) -> None:
    transport = GatheringTransport(below)
    transport.hold_next()
    transport.write(HEAD)
    transport.flush()
    transport.flush()
    transport.write(BODY)
    assert below.written == [HEAD, BODY]


def test_two_heads_that_are_held_stay_in_order(below: WrittenTransport) -> None:
    transport = GatheringTransport(below)
    for data in (HEAD, BODY):
        transport.hold_next()
        transport.write(data)
    transport.flush()
    assert below.written == [HEAD + BODY]


def test_what_is_held_goes_out_before_the_connection_is_closed(below: WrittenTransport) -> None:
    transport = GatheringTransport(below)
    transport.hold_next()
    transport.write(HEAD)
    transport.close()
    assert (below.written, below.calls) == ([HEAD], ["close"])
    assert transport.is_closing()


def test_what_is_held_is_lost_when_the_connection_is_broken_off(below: WrittenTransport) -> None:
    transport = GatheringTransport(below)
    transport.hold_next()
    transport.write(HEAD)
    transport.abort()
    transport.flush()
    assert (below.written, below.calls) == ([], ["abort"])


def test_what_is_held_counts_as_not_sent(below: WrittenTransport) -> None:
    transport = GatheringTransport(below)
    transport.hold_next()
    transport.write(HEAD)
    assert transport.get_write_buffer_size() == len(HEAD) + 5


def test_all_else_is_passed_on(below: WrittenTransport) -> None:
    transport = GatheringTransport(below)
    transport.pause_reading()
    assert not transport.is_reading()
    transport.resume_reading()
    assert transport.is_reading()
    transport.set_write_buffer_limits(high=7, low=3)
    assert below.calls == ["pause", "resume", "limits 7 3"]
    assert (transport.get_extra_info("socket"), transport.get_extra_info("x", 1)) == ("its socket", 1)
