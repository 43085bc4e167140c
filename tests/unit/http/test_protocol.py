"""The head of a request is bounded in bytes and in seconds; everything else about a connection is uvicorn's."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import pytest
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.server import ServerState

from towpath.errors import RefusedError
from towpath.http.body import Patience
from towpath.http.pouring import RequestBody
from towpath.http.protocol import HEAD_SECONDS, LEFTOVER_SECONDS, BoundedProtocol

HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    body = scope["path"].encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def refuse(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


class HeldLoop:
    """The running loop, but for its timers: those go off when the test says so."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timers: list[HeldTimer] = []

    def call_later(self, seconds: float, callback: Callable[..., None], *arguments: object) -> "HeldTimer":
        timer = HeldTimer(seconds, partial(callback, *arguments))
        self._timers.append(timer)
        return timer

    def expire(self, seconds: float) -> int:
        """Let the timers of this length go off; says how many there were."""
        due = [timer for timer in self._timers if timer.seconds == seconds and not timer.cancelled]
        for timer in due:
            timer.cancelled = True
            timer.callback()
        return len(due)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


@dataclass
class HeldTimer:
    seconds: float
    callback: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class Connection:
    """One connection, from both ends."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    loop: HeldLoop
    protocol: BoundedProtocol

    async def send(self, data: bytes) -> None:
        """Send the beginning of a head, and wait until it has arrived."""
        self.writer.write(data)
        while self.protocol._head_received < len(data):  # noqa: ASYNC110 - nothing tells that it arrived
            await asyncio.sleep(0)


@asynccontextmanager
async def connect(app: ASGIApp = answer, *, head_bytes: int = 1000) -> AsyncIterator[Connection]:
    config = Config(app, http="httptools", ws="none", lifespan="off", log_config=None, log_level="critical")
    config.load()
    held, state = HeldLoop(), ServerState()
    made: list[BoundedProtocol] = []

    def create() -> BoundedProtocol:
        loop = cast("asyncio.AbstractEventLoop", held)
        made.append(BoundedProtocol(config, state, loop, head_bytes=head_bytes))
        return made[-1]

    server = await asyncio.get_running_loop().create_server(create, "127.0.0.1")
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    while not state.connections:  # noqa: ASYNC110 - nothing tells that the other end has it
        await asyncio.sleep(0)
    try:
        yield Connection(reader, writer, held, made[0])
    finally:
        writer.close()
        server.close()
        await asyncio.gather(*state.tasks)


async def read_answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    return head + await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0]))


async def was_refused(reader: asyncio.StreamReader) -> bool:
    try:
        return b"HTTP/1.1 431 " in await reader.read()
    except ConnectionError:
        return True  # the end of a connection on which something is still to be read may overtake the answer


async def test_a_connection_that_asks_nothing_is_closed_without_a_word() -> None:
    async with connect() as connection:
        assert connection.loop.expire(HEAD_SECONDS) == 1
        assert await connection.reader.read() == b""


async def test_a_head_that_never_ends_is_timed_out() -> None:
    async with connect() as connection:
        await connection.send(HEAD)
        assert connection.loop.expire(HEAD_SECONDS) == 1
        assert (await connection.reader.read()).startswith(b"HTTP/1.1 408 ")


async def test_the_second_head_is_timed_out_too() -> None:
    async with connect() as connection:
        connection.writer.write(HEAD + b"\r\n")
        assert b"200 OK" in await read_answer(connection.reader)
        assert connection.loop.expire(HEAD_SECONDS) == 0
        await connection.send(HEAD)
        assert connection.loop.expire(HEAD_SECONDS) == 1
        assert (await connection.reader.read()).startswith(b"HTTP/1.1 408 ")


async def test_a_head_behind_a_long_answer_waits_for_its_end() -> None:
    async with connect() as connection:
        connection.writer.write(b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n")
        while not connection.protocol.tasks:  # noqa: ASYNC110 - nothing tells that it began
            await asyncio.sleep(0)
        assert connection.loop.expire(HEAD_SECONDS) == 0  # the head is whole; the body is not this timer's
        connection.writer.write(b"abc")
        assert b"200 OK" in await read_answer(connection.reader)


async def test_a_body_that_goes_on_after_its_answer_is_not_taken_for_ever() -> None:
    async with connect(refuse) as connection:
        connection.writer.write(b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc")
        assert b"401" in await read_answer(connection.reader)
        while not connection.loop.expire(LEFTOVER_SECONDS):  # noqa: ASYNC110 - nothing tells that it is waited for
            await asyncio.sleep(0)
        assert await connection.reader.read() == b""


async def test_a_body_that_failed_in_a_worker_is_not_waited_for_for_ever() -> None:
    def fail(pieces: Iterable[bytes | memoryview]) -> None:
        for _ in pieces:
            raise RefusedError("no more")

    async def take(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(RefusedError):
            await RequestBody(Request(scope, receive), limit=None, patience=Patience()).pour(
                fail, run=asyncio.to_thread
            )
        await refuse(scope, receive, send)

    async with connect(take) as connection:
        connection.writer.write(
            b"PUT /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n" + bytes(500_000)
        )
        assert b"401" in await read_answer(connection.reader)
        while not connection.loop.expire(LEFTOVER_SECONDS):  # noqa: ASYNC110 - nothing tells that it is waited for
            await asyncio.sleep(0)
        assert await read_to_the_end(connection.reader) == b""


async def test_a_body_that_ends_after_its_answer_leaves_the_connection_open() -> None:
    async with connect(refuse) as connection:
        connection.writer.write(b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n")
        assert b"401" in await read_answer(connection.reader)
        connection.writer.write(bytes(5000) + HEAD + b"\r\n")
        assert b"401" in await read_answer(connection.reader)
        assert connection.loop.expire(LEFTOVER_SECONDS) == 0


@pytest.mark.parametrize("more", [b"X: " + b"y" * 5000, b"X: y\r\n" * 1000])
async def test_a_head_that_is_too_large_is_refused(more: bytes) -> None:
    async with connect() as connection:
        reader, writer = connection.reader, connection.writer
        writer.write(HEAD)
        await writer.drain()
        writer.write(more)
        assert await was_refused(reader)


async def test_a_path_that_is_too_long_is_refused() -> None:
    async with connect() as connection:
        reader, writer = connection.reader, connection.writer
        writer.write(b"GET /" + b"a" * 5000)
        assert await was_refused(reader)


@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_requests_within_bounds_pass_however_they_are_cut(size: int) -> None:
    async with connect() as connection:
        reader, writer = connection.reader, connection.writer
        requests = b"".join(
            b"POST /%d HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3000\r\n\r\n" % n + bytes(3000) for n in range(3)
        )
        for start in range(0, len(requests), size):
            writer.write(requests[start : start + size])
            if size > 1 or start % 500 == 0:
                await writer.drain()
        for number in range(3):
            assert (await read_answer(reader)).endswith(b"/%d" % number)


async def test_a_body_is_not_counted_as_a_head() -> None:
    async with connect(head_bytes=200) as connection:
        reader, writer = connection.reader, connection.writer
        writer.write(b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(100):
            writer.write(bytes(1000))
            await writer.drain()
        assert b"200 OK" in await read_answer(reader)


async def test_many_small_requests_at_once_are_no_large_head() -> None:
    async with connect(head_bytes=500) as connection:
        connection.writer.write(100 * (HEAD + b"\r\n") + HEAD)
        for _ in range(100):
            assert b"200 OK" in await read_answer(connection.reader)
        connection.writer.write(b"\r\n")
        assert b"200 OK" in await read_answer(connection.reader)


async def test_requests_that_nobody_waits_for_do_not_fill_the_memory() -> None:
    requests = 6000
    longest = 0

    async def note(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal longest
        longest = max(longest, len(connection.protocol.pipeline))
        await refuse(scope, receive, send)

    async with connect(note) as connection:
        connection.writer.write(requests * (HEAD + b"X: " + b"x" * 200 + b"\r\n\r\n"))
        for _ in range(requests):
            await connection.reader.readuntil(b"\r\n\r\n")
    # As many as are read from a socket at once, twice: an application that asks for its body has more read.
    assert longest < requests / 2


@pytest.mark.parametrize("nonsense", [b"NONSENSE\r\n\r\n" + HEAD + b"\r\n", b"GET /" + b"a" * 5000])
async def test_nonsense_behind_a_request_ends_the_connection_after_its_answer(nonsense: bytes) -> None:
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def answer_late(scope: Scope, receive: Receive, send: Send) -> None:
        asked.set()
        await may_answer.wait()
        await answer(scope, receive, send)

    async with connect(answer_late) as connection:
        connection.writer.write(b"GET /first HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await asked.wait()
        connection.writer.write(nonsense)
        while not connection.protocol._is_deaf:  # noqa: ASYNC110 - nothing tells that it arrived
            await asyncio.sleep(0)
        may_answer.set()
        answered = await connection.reader.read()
        assert answered.startswith(b"HTTP/1.1 200 OK")
        assert answered.endswith(b"/first")


async def test_a_body_that_is_nonsense_is_refused_in_place_of_its_answer() -> None:
    async with connect() as connection:
        connection.writer.write(b"PUT /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n")
        assert (await connection.reader.read()).startswith(b"HTTP/1.1 400 ")


async def test_a_body_that_is_nonsense_is_not_spoken_of_in_the_middle_of_its_answer() -> None:
    begun = asyncio.Event()

    async def begin(scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        begun.set()
        while (await receive())["type"] != "http.disconnect":
            pass

    async with connect(begin) as connection:
        connection.writer.write(b"PUT /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        await begun.wait()
        connection.writer.write(b"nonsense\r\n")
        assert (await read_to_the_end(connection.reader)).endswith(b"\r\n\r\nhalf")


@pytest.mark.parametrize("target", [b"localhost:443", b"*"])
async def test_what_follows_a_request_for_a_tunnel_is_no_request(target: bytes) -> None:
    async with connect() as connection:
        connection.writer.write(b"CONNECT " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n" + HEAD + b"\r\n")
        assert (await read_to_the_end(connection.reader)).count(b"HTTP/1.1 ") == 1


async def read_to_the_end(reader: asyncio.StreamReader) -> bytes:
    """All that arrives before the connection ends, or is broken off."""
    arrived = b""
    try:
        while piece := await reader.read(65536):
            arrived += piece
    except ConnectionError:
        pass
    return arrived
