"""The direct way of one request: large contents go between its connection and a buffer, past ASGI's messages.

An application finds it in the scope's extensions where there is one: not behind TLS, and not without our listener.
Beside it, a request's body of a declared length is handed over in the pieces that the socket gave, without a parser.

A body comes 1. as messages, until somebody asks for more; 2. `take_over` stops the transport; 3. `receive_turn` moves
what is left, and gives the connection back with the last of it. An answer's contents are a message, made by `content`,
between that of its head and that of its end; so whoever stands in between can hold it back. Whoever changes bodies must
take the extension out of the scope.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial
from typing import Any, Protocol, TypeVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from towpath.http.gathering import GatheringTransport
from towpath.http.line import TURN_BYTES, Buffers, Line, LineLostError, Stop, Take

EXTENSION = "towpath.direct"
CONTENT = "towpath.response.content"
# 512 KiB: what may wait for the application before the client has to.
WAITING_BYTES = 512 * 1024
# 128 KiB: less is as quickly received as handed over.
WORTHWHILE_BYTES = 128 * 1024
# 1 MiB: what the event loop sends before others have their turn, a quarter of a millisecond.
LOOP_BYTES = 1024 * 1024

T = TypeVar("T")


class Run(Protocol):
    """Runs work in a worker thread."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]:
        """What the work returns or raises."""
        ...


class Contents(Protocol):
    """What is to be sent."""

    def fill(self, buffer: memoryview, position: int) -> int:
        """Put the bytes of a position into a buffer, in a worker; how many, at least one."""
        ...

    def fill_now(self, buffer: memoryview, position: int) -> int:
        """As `fill`, on the event loop. Raises BlockingIOError: that would have to wait."""
        ...


class Direct:
    """Stands between uvicorn's cycle and the application, for one request.

    Attributes:
        received: bytes of the body that went past the messages.
        sent: bytes of the answer that did.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        transport: GatheringTransport,
        flow: FlowControl,
        end_body: Callable[[], None],
        buffers: Buffers,
    ) -> None:
        """`end_body` is called when the last byte came past the parser; `expect` is called before anything else."""
        self.received = 0
        self.sent = 0
        self._app = app
        self._transport = transport
        self._flow = flow
        self._end_body = end_body
        self._buffers = buffers
        self._cycle: RequestResponseCycle
        self._pieces: deque[bytes] = deque()
        self._waiting = 0
        self._left = 0
        self._line: Line | None = None

    # --- the connection's side --------------------------------------------------------------------------------------

    def expect(self, cycle: RequestResponseCycle, length: int) -> None:
        """The head is whole; a body of this length follows, of which nothing is to be parsed."""
        self._cycle = cycle
        self._left = length

    @property
    def left(self) -> int:
        """How much of the body has not arrived."""
        return self._left

    def arrive(self, data: bytes) -> bytes:
        """Keep what belongs to the body; what is left over belongs to the next request."""
        rest = data[self._left :]
        piece = data[: self._left] if rest else data
        self._left -= len(piece)
        if not self._cycle.response_complete:
            self._pieces.append(piece)
            self._waiting += len(piece)
            if self._waiting >= WAITING_BYTES:
                self._flow.pause_reading()
            self._cycle.message_event.set()
        return rest

    # --- the application's side: ASGI -------------------------------------------------------------------------------

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application that uvicorn runs for this request."""
        del receive

        async def give(message: Message) -> None:
            if message["type"] == CONTENT:
                await self._send_content(message["contents"], message["start"], message["stop"], run=message["run"])
            elif message["type"] == "http.response.start":
                if _has_length(message):
                    self._transport.hold_next()
                await send(message)
            else:
                await send(message)
                self._transport.flush()

        try:
            await self._app(scope, self._receive, give)
        finally:
            # Whatever nobody asked for would otherwise be kept until the next request; and a request that is named by
            # its own scope, until the collector finds the circle.
            self._pieces.clear()
            scope.get("extensions", {}).pop(EXTENSION, None)

    async def _receive(self) -> Message:
        if not self._pieces:
            message: Any = await self._cycle.receive()
            if not self._pieces:
                return dict(message)
        piece = self._pieces.popleft()
        self._waiting -= len(piece)
        if self._waiting < WAITING_BYTES:
            self._flow.resume_reading()
        return {"type": "http.request", "body": piece, "more_body": bool(self._pieces) or self._cycle.more_body}

    # --- the application's side: past the messages ------------------------------------------------------------------

    def take_over(self) -> bool:
        """Have the rest of the body received by `receive_turn`; False when there is too little left."""
        if self._pieces or self._left < WORTHWHILE_BYTES or self._cycle.disconnected:
            return False
        try:
            self._line = Line(self._transport.get_extra_info("socket"), buffers=self._buffers)
        except OSError:
            return False  # the process has no descriptor left; messages need none
        self._flow.pause_reading()
        return True

    async def receivable(self) -> None:
        """Wait until more of the body has arrived, or the client is gone."""
        if self._line is not None:
            await self._line.receivable()

    async def receive_turn(self, take: Take, *, run: Run) -> bool:
        """Hand what has arrived of the body to `take`, in a worker; whether there is probably more already.

        Raises:
            LineLostError: the client is gone.
        """
        line = self._line
        if line is None:
            raise RuntimeError("the body was not taken over")
        before = line.received
        try:
            await run(partial(line.receive, take, self._left))
        except (LineLostError, asyncio.CancelledError):
            # Cancelled, the worker may still be at it: nobody can say what comes next on this connection.
            self._abort()
            raise
        finally:
            moved = line.received - before
            self.received += moved
            self._left -= moved
            if not self._left:
                self._flow.resume_reading()
                self._end_body()
        return moved >= TURN_BYTES

    def give_back(self) -> None:
        """Let go of the connection, the body whole or not."""
        if self._line is not None:
            self._line.close()
            self._line = None

    async def _send_content(self, contents: Contents, start: int, stop: int, *, run: Run) -> None:
        if self._cycle.chunked_encoding is not False or stop - start > self._cycle.expected_content_length:
            raise RuntimeError("the answer's head does not declare the length of its contents")
        await self._drain()
        if self._cycle.disconnected:
            return
        with closing(Line(self._transport.get_extra_info("socket"), buffers=self._buffers)) as line:
            while start < stop and not self._cycle.disconnected:
                try:
                    reached, why = line.send_now(contents.fill_now, start, min(stop, start + LOOP_BYTES))
                    if why is Stop.COLD:
                        reached, why = await run(partial(line.send, contents.fill, reached, stop))
                except LineLostError:
                    self._abort()
                    return
                self.sent += reached - start
                self._cycle.expected_content_length -= reached - start
                start = reached
                if start < stop and why is Stop.FULL:
                    await line.sendable()
                else:
                    await asyncio.sleep(0)

    async def _drain(self) -> None:
        """Wait until the system has all that was written: what goes past the transport must not overtake it."""
        self._transport.flush()
        if self._transport.get_write_buffer_size():
            self._transport.set_write_buffer_limits(high=0)
            await self._flow.drain()
            self._transport.set_write_buffer_limits()

    def _abort(self) -> None:
        self._transport.abort()
        self._cycle.disconnected = True


def _has_length(message: Message) -> bool:
    """Whether the body is known already and follows at once; a stream's head must not wait for its first piece."""
    return any(name == b"content-length" for name, _ in message.get("headers", ()))


def content(contents: Contents, *, start: int, stop: int, run: Run) -> Message:
    """The message that sends the positions from `start` up to `stop` of what is to be sent."""
    return {"type": CONTENT, "contents": contents, "start": start, "stop": stop, "run": run}


def find_direct(scope: Scope) -> Direct | None:
    """The direct way of a request, where there is one."""
    found: Direct | None = scope.get("extensions", {}).get(EXTENSION)
    return found
