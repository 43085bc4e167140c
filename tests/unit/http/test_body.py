import asyncio
from collections.abc import Iterator

import pytest
from starlette.requests import Request
from starlette.types import Message

from towpath.http.body import (
    BodyInterruptedError,
    BodyTooLargeError,
    BodyTooSlowError,
    Patience,
    read_body,
    stream_body,
)


def request(messages: list[Message], **headers: str) -> Request:
    pending: Iterator[Message] = iter(messages)

    async def receive() -> Message:
        return next(pending)

    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": pairs}, receive)


def pieces(content: bytes, size: int) -> list[Message]:
    cut = [content[start : start + size] for start in range(0, len(content), size)] or [b""]
    return [
        {"type": "http.request", "body": piece, "more_body": index + 1 < len(cut)} for index, piece in enumerate(cut)
    ]


@pytest.mark.parametrize("size", [1, 3, 100])
async def test_a_body_is_read_however_it_is_cut(size: int) -> None:
    assert await read_body(request(pieces(b"0123456789", size)), limit=10) == b"0123456789"


@pytest.mark.parametrize("size", [1, 3, 100])
async def test_a_body_above_the_limit_is_refused_however_it_is_cut(size: int) -> None:
    with pytest.raises(BodyTooLargeError, match="at most 9 bytes"):
        await read_body(request(pieces(b"0123456789", size)), limit=9)


async def test_a_declared_length_above_the_limit_is_refused_unread() -> None:
    with pytest.raises(BodyTooLargeError):
        await read_body(request([], content_length="11"), limit=10)


async def test_an_empty_body_has_no_pieces() -> None:
    assert [piece async for piece in stream_body(request(pieces(b"", 1)))] == []


async def test_a_client_that_goes_away_is_told_from_an_end() -> None:
    messages: list[Message] = [
        {"type": "http.request", "body": b"01", "more_body": True},
        {"type": "http.disconnect"},
    ]
    with pytest.raises(BodyInterruptedError, match="2 bytes arrived"):
        await read_body(request(messages), limit=10)


def endless(content: bytes = b"") -> Request:
    """A client that sends this and then nothing, without going away."""
    pending = pieces(content, 1) if content else []

    async def receive() -> Message:
        if pending:
            return {**pending.pop(0), "more_body": True}
        await asyncio.Event().wait()
        raise AssertionError

    return Request({"type": "http", "headers": []}, receive)


async def test_a_pause_that_is_too_long_ends_the_wait() -> None:
    pieces_that_came = stream_body(endless(b"012"), patience=Patience(pause_seconds=0.01))
    assert [await anext(pieces_that_came) for _ in range(3)] == [b"0", b"1", b"2"]
    with pytest.raises(BodyTooSlowError, match="3 bytes arrived") as caught:
        await anext(pieces_that_came)
    assert caught.value.status == 408


async def test_a_trickle_is_too_slow_once_its_grace_is_over() -> None:
    demanding = Patience(grace_seconds=0.0, least_bytes_per_second=1e18)
    with pytest.raises(BodyTooSlowError):
        await read_body(request(pieces(b"0123456789", 1)), limit=10, patience=demanding)


async def test_what_is_done_with_the_pieces_costs_no_patience() -> None:
    patience = Patience(pause_seconds=60.0, grace_seconds=0.0, least_bytes_per_second=1.0)
    seen = b""
    async for piece in stream_body(request(pieces(b"0123456789", 1)), patience=patience):
        seen += piece
        await asyncio.sleep(0)
    assert seen == b"0123456789"


async def test_a_slow_body_that_is_read_whole_is_not_waited_for() -> None:
    with pytest.raises(BodyTooSlowError):
        await read_body(endless(b"{"), limit=10, patience=Patience(pause_seconds=0.01))
