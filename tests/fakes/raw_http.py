"""HTTP in raw bytes, for tests that cut, mix, break off and leave out what a client's library would not."""

import asyncio
import socket
import ssl
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class RawAnswer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes = b""


def format_head(method: str, path: str, *, version: str = "1.1", **headers: str) -> bytes:
    """A request's head; `content_length` becomes `Content-Length`."""
    lines = [f"{method} {path} HTTP/{version}", "Host: localhost"]
    lines += [f"{name.replace('_', '-').title()}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def format_request(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    """A request with a body of a declared length."""
    return format_head(method, path, content_length=str(len(body)), **headers) + body


class RawConnection:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, port: int, *, tls: ssl.SSLContext | None = None, receive_buffer: int = 0) -> Self:
        """Connect to this machine; with a small buffer the server notices soon that nobody reads."""
        connection = socket.socket()
        connection.setblocking(False)
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
        name = "localhost" if tls else None
        return cls(*await asyncio.open_connection(sock=connection, ssl=tls, server_hostname=name))

    async def send(self, data: bytes) -> None:
        """Send, and wait until most of it is on its way."""
        self.writer.write(data)
        await self.writer.drain()

    async def receive_head(self) -> RawAnswer:
        """The next answer without its body."""
        first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        return RawAnswer(int(first.split()[1]), dict(line.lower().split(": ", 1) for line in lines))

    async def receive(self) -> RawAnswer:
        """The next answer; its length must be declared."""
        head = await self.receive_head()
        return RawAnswer(head.status, head.headers, await self.reader.readexactly(int(head.headers["content-length"])))

    async def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> RawAnswer:
        """Send a request, receive its answer."""
        await self.send(format_request(method, path, body, **headers))
        return await self.receive()

    def abort(self) -> None:
        """Go away at once: the other end is told that the connection is broken."""
        # Without lingering a close is a reset.
        found = self.writer.get_extra_info("socket")
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.writer.transport.abort()

    async def close(self) -> None:
        """Close, whether or not the other end has already."""
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except (ConnectionError, ssl.SSLError):
            return
