"""Contents on their way to a worker, in pieces; the way past the event loop is `test_direct`'s."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import TypeVar

import pytest
from starlette.requests import Request
from starlette.types import Message

from fakes.contents_app import content_of
from towpath.errors import RefusedError
from towpath.http.body import BodyInterruptedError, BodyTooLargeError, BodyTooSlowError, Patience
from towpath.http.pouring import GATHERED_BYTES, Pieces, RequestBody

T = TypeVar("T")

CONTENT = content_of(3 * GATHERED_BYTES + 11)
SIZES = [1, 1000, GATHERED_BYTES - 1, GATHERED_BYTES, GATHERED_BYTES + 1, 2 * GATHERED_BYTES, len(CONTENT)]


class Worker:
    """One worker; work that is given to it while it is at something is a fault."""

    def __init__(self) -> None:
        self.taken: list[list[bytes]] = []
        self.is_busy = False
        self.fail_at: int | None = None

    async def run(self, work: Callable[[], T]) -> T:
        assert not self.is_busy, "two turns at once would be in no order"
        self.is_busy = True
        try:
            return await asyncio.to_thread(work)
        finally:
            self.is_busy = False

    def take(self, pieces: Iterable[bytes | memoryview]) -> None:
        if len(self.taken) == self.fail_at:
            raise RefusedError("no more")
        self.taken.append([bytes(piece) for piece in pieces])

    @property
    def content(self) -> bytes:
        return b"".join(piece for turn in self.taken for piece in turn)

    @property
    def turns(self) -> list[int]:
        """How much was taken in each."""
        return [sum(map(len, turn)) for turn in self.taken]


async def cut(content: bytes, size: int, *, end: Exception | None = None) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]
    if end:
        raise end


def request(content: bytes, size: int, *, then: Message | None = None, stall: bool = False, **headers: str) -> Request:
    """A request in messages of this size; `then` in place of its end, or nothing at all."""
    messages: list[Message] = [
        {"type": "http.request", "body": content[start : start + size], "more_body": True}
        for start in range(0, len(content), size)
    ]
    messages.append(then or {"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Message:
        if stall and len(messages) == 1:
            await asyncio.Event().wait()
        return messages.pop(0)

    given = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    return Request({"type": "http", "method": "PUT", "headers": given}, receive)


@pytest.mark.parametrize("size", [size for size in SIZES if size > 1])
async def test_pieces_are_taken_in_order_and_in_turns_that_are_worth_it(size: int) -> None:
    worker = Worker()
    await Pieces(cut(CONTENT, size)).pour(worker.take, run=worker.run)
    assert worker.content == CONTENT
    assert min(worker.turns[:-1], default=GATHERED_BYTES) >= GATHERED_BYTES
    assert max(worker.turns) < GATHERED_BYTES + size


async def test_many_small_pieces_are_one_turn() -> None:
    worker = Worker()
    await Pieces(cut(CONTENT[:5000], 1)).pour(worker.take, run=worker.run)
    assert (worker.content, len(worker.taken)) == (CONTENT[:5000], 1)


async def test_nothing_at_all_is_no_turn() -> None:
    worker = Worker()
    await Pieces(cut(b"", 1)).pour(worker.take, run=worker.run)
    await RequestBody(request(b"", 1), limit=None, patience=Patience()).pour(worker.take, run=worker.run)
    assert worker.taken == []


@pytest.mark.parametrize("arrived", [1, GATHERED_BYTES, 2 * GATHERED_BYTES + 5])
async def test_what_came_before_a_failure_of_the_sender_is_taken(arrived: int) -> None:
    worker = Worker()
    with pytest.raises(RefusedError, match="broken"):
        await Pieces(cut(CONTENT[:arrived], 1000, end=RefusedError("broken"))).pour(worker.take, run=worker.run)
    assert worker.content == CONTENT[:arrived]


@pytest.mark.parametrize("fail_at", [0, 1, 2])
async def test_after_a_failure_of_the_worker_nothing_more_is_taken(fail_at: int) -> None:
    worker = Worker()
    worker.fail_at = fail_at
    with pytest.raises(RefusedError, match="no more"):
        await Pieces(cut(CONTENT, 1000)).pour(worker.take, run=worker.run)
    assert CONTENT.startswith(worker.content)
    assert len(worker.taken) == fail_at
    assert not worker.is_busy


@pytest.mark.parametrize("size", [1000, len(CONTENT)])
async def test_a_body_is_poured_within_its_limit(size: int) -> None:
    worker = Worker()
    body = RequestBody(request(CONTENT, size), limit=len(CONTENT), patience=Patience())
    await body.pour(worker.take, run=worker.run)
    assert worker.content == CONTENT


async def test_a_body_beyond_its_limit_is_refused_and_what_was_within_stays() -> None:
    worker = Worker()
    with pytest.raises(BodyTooLargeError):
        await RequestBody(request(CONTENT, 1000), limit=2500, patience=Patience()).pour(worker.take, run=worker.run)
    assert worker.content == CONTENT[:2000]


async def test_a_body_that_is_declared_too_long_is_refused_unread() -> None:
    worker = Worker()
    asked = request(CONTENT, 1000, content_length=str(len(CONTENT)))
    with pytest.raises(BodyTooLargeError):
        await RequestBody(asked, limit=10, patience=Patience()).pour(worker.take, run=worker.run)
    assert worker.taken == []


async def test_a_client_that_goes_away_leaves_what_it_sent() -> None:
    worker = Worker()
    asked = request(CONTENT[:2000], 1000, then={"type": "http.disconnect"})
    with pytest.raises(BodyInterruptedError, match="2000 bytes"):
        await RequestBody(asked, limit=None, patience=Patience()).pour(worker.take, run=worker.run)
    assert worker.content == CONTENT[:2000]


async def test_a_client_that_stands_still_leaves_what_it_sent() -> None:
    worker = Worker()
    body = RequestBody(request(CONTENT[:2000], 1000, stall=True), limit=None, patience=Patience(pause_seconds=0.01))
    with pytest.raises(BodyTooSlowError, match="2000 bytes"):
        await body.pour(worker.take, run=worker.run)
    assert worker.content == CONTENT[:2000]


async def test_a_turn_that_is_broken_off_leaves_no_work_behind() -> None:
    worker, begun = Worker(), asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield CONTENT[:GATHERED_BYTES]
        begun.set()
        await asyncio.Event().wait()

    pouring = asyncio.create_task(Pieces(endless()).pour(worker.take, run=worker.run))
    await begun.wait()
    pouring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pouring
    assert not worker.is_busy
