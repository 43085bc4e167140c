"""One connection of a listener: uvicorn's protocol, with bounds on what nobody reads, which uvicorn has none for.

The parser keeps a head in memory until it is whole, and nothing waits for that; what is left of a body after its answer
is dropped as it comes; requests that come before the one ahead of them is answered wait in a queue. Without bounds in
bytes and in seconds a client could hold memory and connections for ever. Bodies are bounded where they are read, in
`body`. A body of a declared length goes past the parser, to `direct`.

Whoever sends what is no request is told so after the answers that are owed, and never in the middle of one.
"""

import asyncio
from typing import Any, cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from towpath.http.direct import EXTENSION, Direct
from towpath.http.gathering import GatheringTransport
from towpath.http.line import Buffers
from towpath.http.resuming import create_parser, resume_chunked

# 64 KiB: many times what any client sends; cookies and ten long tags in a query fit.
HEAD_BYTES = 64 * 1024
HEAD_SECONDS = 60.0
# 64 KiB: what is received at once. asyncio's 256 KiB would be asked of the system, and given back, for every request.
RECEIVED_BYTES = 64 * 1024
# Half a minute for a client to notice that it was answered in the middle of its body, or to send the rest.
LEFTOVER_SECONDS = 30.0


class BoundedProtocol(HttpToolsProtocol):
    """A connection whose requests must begin within bounds."""

    def __init__(
        self,
        config: Config,
        state: ServerState,
        loop: asyncio.AbstractEventLoop,
        *,
        buffers: Buffers | None = None,
        head_bytes: int = HEAD_BYTES,
        head_seconds: float = HEAD_SECONDS,
    ) -> None:
        """Prepare for one connection; `buffers` are those of its listener."""
        super().__init__(config=config, server_state=state, app_state={}, _loop=loop)
        self._head_bytes = head_bytes
        self._head_seconds = head_seconds
        self._head_received = 0
        self._is_in_head = False
        self._has_ended = False
        self._is_deaf = False
        self._is_declining = False
        self._give_up: asyncio.TimerHandle | None = None
        self._leftover: asyncio.TimerHandle | None = None
        self._application = self.app
        self._buffers = buffers or Buffers()
        self._direct: Direct | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connects; its first request must begin soon."""
        if hasattr(transport, "max_size"):
            transport.max_size = RECEIVED_BYTES
        super().connection_made(GatheringTransport(transport))
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._stop_waiting()
        self._stop_dropping()
        # They point here, too: what they hold would stay until the collector finds the circle.
        self._direct, self.app = None, self._application
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes arrive; those of a head are counted when it is not whole after them."""
        if self._is_deaf:
            return
        self._has_ended = False
        data = self._pass_by(data)
        if not data:
            return
        self._parse(data)
        if self._is_in_head and self._give_up is None:
            self._await_head()
        if self._give_up is not None and not self._has_ended:
            # Where a request has ended, too, nobody knows how much is the next one's: no more than is read at once.
            self._head_received += len(data)
            if self._head_received > self._head_bytes:
                self._refuse(b"431 Request Header Fields Too Large")

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        # Most heads are whole with the bytes that they begin in, and never waited for.
        self._is_in_head = True

    def on_headers_complete(self) -> None:
        """Its head is whole."""
        self._is_in_head = False
        self._stop_waiting()
        transport = cast("GatheringTransport", self.transport)
        direct = Direct(
            self._application, transport=transport, flow=self.flow, end_body=self._end_body, buffers=self._buffers
        )
        self.app = direct.serve
        if self.scheme == "http":
            self.scope["extensions"] = cast("dict[str, Any]", {EXTENSION: direct})
        super().on_headers_complete()
        length = self._declared_length()
        direct.expect(self.cycle, length)
        self._direct = direct
        # The parser will say that a request which asks for another protocol has ended.
        self._is_declining = self.parser.should_upgrade() and (length > 0 or self._is_chunked())

    def on_body(self, body: bytes) -> None:
        """The parser has read a part of its body."""
        if self._direct is not None and self._direct.left:
            self._direct.arrive(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Its body is whole."""
        if self._is_declining:
            return
        self._has_ended = True
        self._stop_dropping()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """It is answered; if its body is still coming, not for long."""
        super().on_response_complete()
        if self.pipeline:
            # uvicorn reads on with each answer, and the queue would grow as fast as the client sends.
            self.flow.pause_reading()
        elif self.cycle.more_body:
            self._leftover = self.loop.call_later(LEFTOVER_SECONDS, self.transport.close)

    def send_400_response(self, msg: str) -> None:
        """Say that this is no request, unless an answer is owed."""
        if not self._has_hung_up():
            super().send_400_response(msg)

    def _has_hung_up(self) -> bool:
        """End the connection after the answers that are owed; False when there are none, and something may be said.

        A body that is broken off gets that word in place of its answer, if nothing of that has been said.
        """
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request, whatever uvicorn's types say
        if cycle is None or cycle.response_complete:
            return False
        if not cycle.more_body:
            cycle.keep_alive = False
            self._is_deaf = True
            return True
        if self.pipeline or cycle.response_started:
            self.transport.abort()
            return True
        return False

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        # As uvicorn does; but a callback at the task's end would cost each request another turn of the event loop.
        self.tasks.add(self.loop.create_task(self._run(cycle, app)))

    async def _run(self, cycle: RequestResponseCycle, app: Any) -> None:
        try:
            await cycle.run_asgi(app)
        finally:
            self.tasks.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    def _pass_by(self, data: bytes) -> bytes:
        """Keep what belongs to a body that is not parsed; what is left over is to be parsed."""
        if self._direct is None or not self._direct.left:
            return data
        data = self._direct.arrive(data)
        if not self._direct.left:
            self._end_body()
        return data

    def _parse(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as asked:
                data = self._decline(data[asked.args[0] :])
            except httptools.HttpParserError:
                self.send_400_response("Invalid HTTP request received.")
                return
            else:
                return

    def _decline(self, rest: bytes) -> bytes:
        """Go on as if nobody had asked for another protocol; what of the rest is to be parsed."""
        if self.parser.get_method() == b"CONNECT":
            # What follows is for somebody else, and of no length that anybody knows.
            self.cycle.keep_alive = False
            self._is_deaf = True
            return b""
        is_in_chunks = self._is_declining and self._is_chunked()
        self._is_declining = False
        self.parser = resume_chunked(self) if is_in_chunks else create_parser(self)
        return self._pass_by(rest)

    def _is_chunked(self) -> bool:
        return any(name == b"transfer-encoding" for name, _ in self.headers)

    def _end_body(self) -> None:
        """The body has come to its end without the parser, which was left in the middle of it."""
        self.parser = create_parser(self)
        self.on_message_complete()

    def _declared_length(self) -> int:
        """How long the body is, where that is declared and it is not to be parsed."""
        # The parser has refused lengths that contradict one another, and any beside a transfer encoding.
        return next((int(value) for name, value in self.headers if name == b"content-length"), 0)

    def _await_head(self) -> None:
        self._stop_waiting()
        self._head_received = 0
        self._give_up = self.loop.call_later(self._head_seconds, self._time_out)

    def _stop_waiting(self) -> None:
        if self._give_up is not None:
            self._give_up.cancel()
            self._give_up = None

    def _stop_dropping(self) -> None:
        if self._leftover is not None:
            self._leftover.cancel()
            self._leftover = None

    def _time_out(self) -> None:
        cycle: RequestResponseCycle | None = self.cycle
        if cycle and not cycle.response_complete:
            # The next request waits for this answer to end, and the client cannot hurry that.
            self._give_up = self.loop.call_later(self._head_seconds, self._time_out)
            return
        self._refuse(b"408 Request Timeout")

    def _refuse(self, status: bytes) -> None:
        self._stop_waiting()
        if self._has_hung_up():
            return
        # A client that asked nothing is told nothing: an answer would be taken for that of its first request.
        if self._head_received and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()
