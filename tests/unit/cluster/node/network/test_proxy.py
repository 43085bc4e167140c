import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from towpath.cluster.node.network.proxy import Address, Proxy
from towpath.cluster.node.network.services import connect_from_host, listen_on_loopback

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def backend(handler: Handler) -> AsyncIterator[Address]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def proxy_to(backends: list[Address]) -> AsyncIterator[Address]:
    listening = listen_on_loopback("127.0.0.1", 0)
    address = listening.getsockname()
    proxy = Proxy(listening, backends=lambda: backends, connect=connect_from_host)
    await proxy.start()
    try:
        yield address
    finally:
        await proxy.close()


def saying(text: bytes) -> Handler:
    async def handle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text)

    return handle


async def ask(address: Address) -> bytes:
    reader, writer = await asyncio.open_connection(*address)
    try:
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()
        await writer.wait_closed()


async def test_connections_go_to_the_backends_in_turn() -> None:
    async with backend(saying(b"a")) as one, backend(saying(b"b")) as two, proxy_to([one, two]) as address:
        assert [await ask(address) for _ in range(4)] == [b"a", b"b", b"a", b"b"]


async def test_a_backend_that_refuses_is_passed_over() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: refused
        async with backend(saying(b"a")) as one, proxy_to([closed.getsockname(), one]) as address:
            assert [await ask(address) for _ in range(3)] == [b"a"] * 3


async def test_without_a_backend_the_connection_is_reset() -> None:
    async with proxy_to([]) as address:
        with pytest.raises(ConnectionResetError):
            await ask(address)


async def test_a_half_closed_connection_still_gets_its_answer() -> None:
    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(str(len(await reader.read())).encode())

    async with backend(count) as one, proxy_to([one]) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"x" * 1000)
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 10) == b"1000"
        writer.close()
        await writer.wait_closed()


async def test_a_large_body_arrives_whole_at_a_slow_reader() -> None:
    body = bytes(range(256)) * 20_000

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(body)
        await writer.drain()

    async with backend(send) as one, proxy_to([one]) as address:
        reader, writer = await asyncio.open_connection(*address, limit=1024)
        received = b""
        while piece := await asyncio.wait_for(reader.read(100_000), 10):
            received += piece
            await asyncio.sleep(0)
        assert received == body
        writer.close()
        await writer.wait_closed()


async def test_bytes_sent_before_the_backend_answers_are_not_lost() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(5))

    async with backend(echo) as one, proxy_to([one]) as address:
        reader, writer = await asyncio.open_connection(*address)
        for byte in b"hello":
            writer.write(bytes([byte]))
            await asyncio.sleep(0)
        assert await asyncio.wait_for(reader.read(), 10) == b"hello"
        writer.close()
        await writer.wait_closed()


async def test_closing_the_proxy_ends_open_connections() -> None:
    async def hold(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with backend(hold) as one:
        async with proxy_to([one]) as address:
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"x")
            await asyncio.sleep(0.01)
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
        await writer.wait_closed()


def test_a_privileged_port_moves_up_for_an_ordinary_user() -> None:
    try:
        listening = listen_on_loopback("127.209.3.4", 80)
    except OSError as error:  # pragma: no cover
        pytest.fail(f"neither 80 nor 8080 could be bound: {error}")
    with listening:
        assert listening.getsockname()[1] in {80, 8080}
