"""The proxy: what is sent before, while and after it finds a backend."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from towpath.cluster.node.network.proxy import Proxy
from towpath.cluster.node.network.services import connect_from_host, listen_on_loopback


@contextlib.asynccontextmanager
async def proxied(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]],
    connect: Callable[[str, int], Coroutine[Any, Any, socket.socket]] = connect_from_host,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A client's connection through a proxy to a server."""
    served: list[asyncio.Task[None]] = []

    async def serve_to_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve(reader, writer)
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.create_task(serve_to_the_end(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    backend = server.sockets[0].getsockname()
    listening = listen_on_loopback("127.0.0.1", 0)
    address = listening.getsockname()
    proxy = Proxy(listening, backends=lambda: [backend], connect=connect)
    await proxy.start()
    reader, writer = await asyncio.open_connection(*address)
    try:
        async with asyncio.timeout(10):
            yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        await proxy.close()
        await asyncio.gather(*served)
        server.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"got " + await reader.read())
    writer.close()


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"welcome\n")
    await reader.read()
    writer.close()


async def test_a_request_is_answered_after_its_half_close() -> None:
    async with proxied(echo) as (reader, writer):
        writer.write(b"hello")
        writer.write_eof()
        assert await reader.read() == b"got hello"


async def test_a_server_may_speak_first() -> None:
    async with proxied(greet) as (reader, _):
        assert await reader.readline() == b"welcome\n"


async def test_nothing_that_is_sent_before_a_backend_is_found_is_lost() -> None:
    arrived = asyncio.Event()

    async def connect_late(host: str, port: int) -> socket.socket:
        await arrived.wait()
        return await connect_from_host(host, port)

    async with proxied(echo, connect_late) as (reader, writer):
        writer.write(b"a" * 500_000)
        await asyncio.sleep(0)
        writer.write_eof()
        arrived.set()
        assert len(await reader.read()) == len(b"got ") + 500_000


async def test_a_connection_without_a_backend_is_reset() -> None:
    async def refuse(host: str, port: int) -> socket.socket:
        raise ConnectionRefusedError(host, port)

    async with proxied(echo, refuse) as (reader, _):
        with pytest.raises(ConnectionResetError):
            await reader.read()
