"""A proxy that ends TLS, as nginx or Traefik in front of a registry does: `async with end_tls(...) as proxy`.

Clients come by `CONNECT` (HTTPS_PROXY), so any name can be said without a name service. The bytes inside of the TLS
connection go to the registry as they are, `Host` included. What comes in clear text is refused and noted down.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class TlsProxy:
    """A running one."""

    url: str = ""
    connected: list[str] = field(default_factory=list)
    clear_text: list[str] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """What makes a client go through it, whatever it speaks."""
        return {"HTTPS_PROXY": self.url, "HTTP_PROXY": self.url, "NO_PROXY": ""}


@asynccontextmanager
async def end_tls(certificate: Path, key: Path, *, target: str) -> AsyncIterator[TlsProxy]:
    """Pass what is said within TLS on to `target` (`host:port`)."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    proxy = TlsProxy()
    host, _, port = target.rpartition(":")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, asked, _ = head.split("\r\n", 1)[0].split()
        if method != "CONNECT":
            proxy.clear_text.append(f"{method} {asked}")
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            writer.close()
            return
        proxy.connected.append(asked)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.drain()
        await writer.start_tls(context)
        behind_reader, behind_writer = await asyncio.open_connection(host, int(port))
        await asyncio.gather(_pour(reader, behind_writer), _pour(behind_reader, writer))

    async def serve_until_gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ssl.SSLError, asyncio.IncompleteReadError):
            await serve(reader, writer)

    server = await asyncio.start_server(serve_until_gone, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    finally:
        writer.close()
