"""A connection's socket as workers use it: bytes go between it and a small buffer, past the event loop and its copies.

A buffer of 512 KiB stays in the processor's cache from the disk to the socket and back: for large contents that is
faster than anything that passes through the loop, and than `sendfile`, which hands a socket page after page. A worker
moves what there is and leaves; only a client that is quick is waited for in place, so that slow ones hold no worker.
"""

import asyncio
import os
import select
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

# Puts bytes of a position into a buffer that is its own during the call; says how many, at least one.
Fill = Callable[[memoryview, int], int]
# Takes pieces, each of them valid until the next one is asked for.
Take = Callable[[Iterable["bytes | memoryview"]], None]

BUFFER_BYTES = 512 * 1024
# 4 MiB: the most a worker moves before others have their turn, a millisecond or two.
TURN_BYTES = 4 * 1024 * 1024
# A client that has moved a whole buffer is quick enough to be waited for, for 2 ms: going through the event loop would
# take as long.
PATIENCE_MILLISECONDS = 2


class LineLostError(Exception):
    """The client is gone. No OSError: what fills and takes has failures of that kind, which mean something else."""


class Line:
    """A descriptor of a connection, of its own: a worker may still use it when the connection has been closed.

    Attributes:
        received: how many bytes were read, those included that whoever took them failed on.
    """

    def __init__(self, connection: socket.socket) -> None:
        """Open it. The client sees no end of the connection before it is closed here, too."""
        self.received = 0
        self._descriptor = os.dup(connection.fileno())
        self._users = 1
        self._lock = threading.Lock()

    def close(self) -> None:
        """Let go of it; a worker that is at it keeps it until it is done. To be called once."""
        with self._lock:
            self._users -= 1
            if not self._users:
                os.close(self._descriptor)

    def send(self, fill: Fill, start: int, stop: int) -> int:
        """Send what `fill` gives for the positions from `start` up to `stop`, as far as it is taken; says up to where.

        Raises:
            LineLostError: the client is gone.
        """
        with self._held():
            return self._send(fill, start, min(stop, start + TURN_BYTES))

    def receive(self, take: Take, count: int) -> None:
        """Hand up to `count` bytes to `take`, as far as they are here.

        Raises:
            LineLostError: the client is gone.
        """
        with self._held():
            take(self._pieces(min(count, TURN_BYTES)))

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Keep the descriptor open. Raises LineLostError."""
        with self._lock:
            if not self._users:
                raise LineLostError
            self._users += 1
        try:
            yield
        finally:
            self.close()

    def _send(self, fill: Fill, start: int, stop: int) -> int:
        buffer, position = memoryview(bytearray(min(BUFFER_BYTES, stop - start))), start
        while position < stop:
            piece = buffer[: fill(buffer[: stop - position], position)]
            while piece:
                try:
                    sent = os.write(self._descriptor, piece)
                except BlockingIOError:
                    if position - start < BUFFER_BYTES or not self._is_soon(select.POLLOUT):
                        return position
                    continue
                except OSError as error:
                    raise LineLostError from error
                position += sent
                piece = piece[sent:]
        return position

    def _pieces(self, count: int) -> Iterator[memoryview]:
        buffer, left = memoryview(bytearray(min(BUFFER_BYTES, count))), count
        while left:
            try:
                arrived = os.readv(self._descriptor, [buffer[:left]])
            except BlockingIOError:
                if count - left < BUFFER_BYTES or not self._is_soon(select.POLLIN):
                    return
                continue
            except OSError as error:
                raise LineLostError from error
            if not arrived:
                raise LineLostError
            self.received += arrived
            left -= arrived
            yield buffer[:arrived]

    async def sendable(self) -> None:
        """Wait until something can be sent again, or the client is gone."""
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        loop.add_writer(self._descriptor, _conclude, ready)
        try:
            await ready
        finally:
            loop.remove_writer(self._descriptor)

    async def receivable(self) -> None:
        """Wait until something has arrived, or the client is gone."""
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        loop.add_reader(self._descriptor, _conclude, ready)
        try:
            await ready
        finally:
            loop.remove_reader(self._descriptor)

    def _is_soon(self, event: int) -> bool:
        poll = select.poll()
        poll.register(self._descriptor, event)
        return bool(poll.poll(PATIENCE_MILLISECONDS))


def _conclude(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
