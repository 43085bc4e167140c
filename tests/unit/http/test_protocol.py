"""The head of a request is bounded in bytes and in seconds; everything else about a connection is uvicorn's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.server import ServerState

from towpath.http.protocol import BoundedProtocol

SOON = 0.05  # seconds: what a test is ready to wait for a refusal
NEVER = 3600.0
HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    body = scope["path"].encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def connect(
    *, head_seconds: float = NEVER, head_bytes: int = 1000
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    config = Config(answer, http="httptools", ws="none", lifespan="off", log_config=None, log_level="critical")
    config.load()
    loop, state = asyncio.get_running_loop(), ServerState()
    server = await loop.create_server(
        lambda: BoundedProtocol(config, state, loop, head_bytes=head_bytes, head_seconds=head_seconds), "127.0.0.1"
    )
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        yield reader, writer
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
    async with connect(head_seconds=SOON) as (reader, _):
        assert await reader.read() == b""


async def test_a_head_that_never_ends_is_timed_out() -> None:
    async with connect(head_seconds=SOON) as (reader, writer):
        writer.write(HEAD)
        assert (await reader.read()).startswith(b"HTTP/1.1 408 ")


async def test_the_second_head_is_timed_out_too() -> None:
    async with connect(head_seconds=SOON) as (reader, writer):
        writer.write(HEAD + b"\r\n")
        assert b"200 OK" in await read_answer(reader)
        writer.write(HEAD)
        assert (await reader.read()).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("more", [b"X: " + b"y" * 5000, b"X: y\r\n" * 1000])
async def test_a_head_that_is_too_large_is_refused(more: bytes) -> None:
    async with connect() as (reader, writer):
        writer.write(HEAD)
        await writer.drain()
        writer.write(more)
        assert await was_refused(reader)


async def test_a_path_that_is_too_long_is_refused() -> None:
    async with connect() as (reader, writer):
        writer.write(b"GET /" + b"a" * 5000)
        assert await was_refused(reader)


@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_requests_within_bounds_pass_however_they_are_cut(size: int) -> None:
    async with connect() as (reader, writer):
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
    async with connect(head_bytes=200) as (reader, writer):
        writer.write(b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(100):
            writer.write(bytes(1000))
            await writer.drain()
        assert b"200 OK" in await read_answer(reader)
