"""Carries TCP connections to one of several backends.

One proxy a listening socket. Each connection goes to the next ready backend (round robin); one that refuses is passed
over. Half-closed connections stay half-closed, and a slow side slows the other down. No backend: the connection is
reset, as kube-proxy rejects it.
"""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from typing import cast

Address = tuple[str, int]
Connect = Callable[[str, int], Awaitable[socket.socket]]
# A backend on the same machine answers at once or is gone.
CONNECT_TIMEOUT_SECONDS = 3.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Proxy:
    """Accepts on one socket and passes on. `start` it, `close` it."""

    def __init__(
        self, listening: socket.socket, *, backends: Callable[[], Sequence[Address]], connect: Connect
    ) -> None:
        """Take over a listening socket.

        Args:
            listening: bound and listening, in whatever network namespace.
            backends: the ready ones of the moment.
            connect: makes a connection to one. Raises OSError.
        """
        self._listening = listening
        self._backends = backends
        self._connect = connect
        self._turn = count()
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self._sides: set[_Side] = set()

    async def start(self) -> None:
        """Begin to accept."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Side(self._accepted, self._sides), sock=self._listening)

    async def close(self) -> None:
        """Stop accepting and end every connection."""
        if self._server is not None:
            self._server.close()
        for task in list(self._links):
            task.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)
        for side in list(self._sides):
            side.abort()

    def _accepted(self, side: "_Side") -> None:
        task = asyncio.create_task(self._link(side))
        self._links.add(task)
        task.add_done_callback(self._links.discard)

    async def _link(self, client: "_Side") -> None:
        backends = list(self._backends())
        first = next(self._turn)
        for offset in range(len(backends)):
            host, port = backends[(first + offset) % len(backends)]
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                    connected = await self._connect(host, port)
            except (OSError, TimeoutError):
                continue
            loop = asyncio.get_running_loop()
            _, backend = await loop.create_connection(lambda: _Side(None, self._sides), sock=connected)
            client.join(backend)
            backend.join(client)
            return
        client.reset()


class _Side(asyncio.Protocol):
    """One end of a proxied connection."""

    def __init__(self, accepted: "Callable[[_Side], None] | None", sides: "set[_Side]") -> None:
        self._accepted = accepted
        self._sides = sides
        self._transport: asyncio.Transport | None = None
        self._peer: _Side | None = None
        self._early = b""  # what came before there was somewhere to send it
        self.has_ended = False  # the program at this end sends no more

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # No isinstance check: the transports of other event loops are not asyncio's by class.
        self._transport = cast("asyncio.Transport", transport)
        self._sides.add(self)
        if self._accepted is not None:
            # Not paused here: some event loops begin to read after this call whatever is said in it.
            self._accepted(self)

    def join(self, peer: "_Side") -> None:
        """Connect with the other end."""
        self._peer = peer
        if self._early:
            peer.send(self._early)
            self._early = b""
        if self.has_ended:
            peer.send_end()
        if self._transport is None or self._transport.is_closing():
            peer.finish()
        else:
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self._peer is not None:
            self._peer.send(data)
            return
        self._early += data
        if self._transport is not None:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        self.has_ended = True
        if self._peer is None:
            return True  # it still wants its answer
        return not self._peer.has_ended and self._peer.send_end()

    def pause_writing(self) -> None:
        if self._peer is not None:
            self._peer.hold(held=True)

    def resume_writing(self) -> None:
        if self._peer is not None:
            self._peer.hold(held=False)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._sides.discard(self)
        self._transport = None
        if self._peer is not None:
            self._peer.finish()

    def send(self, data: bytes) -> None:
        """Pass data on to the program at this end."""
        if self._transport is not None:
            self._transport.write(data)

    def send_end(self) -> bool:
        """Tell the program at this end that no more will come; False if it is gone."""
        if self._transport is None or self._transport.is_closing():
            return False
        self._transport.write_eof()
        return True

    def hold(self, *, held: bool) -> None:
        """Stop or go on reading, because the other end cannot keep up."""
        if self._transport is None or self._transport.is_closing():
            return
        if held:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def finish(self) -> None:
        """Close after what is still to be sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def reset(self) -> None:
        """Let the client see a refused connection."""
        if self._transport is not None:
            raw = self._transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._transport.abort()
