"""A connection's socket as large contents pass through it: past the transport, by way of one small buffer.

A buffer of 512 KiB stays in the processor's cache from the disk to the socket and back: for large contents that is
faster than anything that passes through a transport. What is in memory is sent from the event loop, a step at a time:
handing it to a worker would take longer. What must be read from a disk, hashed or written is a worker's: it moves what
there is and leaves; only a client that is quick is waited for in place, so that slow ones hold no worker.
"""

import asyncio
import os
import select
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import Enum

# Puts bytes of a position into a buffer that is its own during the call; says how many, at least one.
Fill = Callable[[memoryview, int], int]
# Takes pieces, each of them valid until the next one is asked for.
Take = Callable[[Iterable["bytes | memoryview"]], None]
# Waits a moment for an event of a descriptor; whether it has come.
Wait = Callable[[int, int], bool]

BUFFER_BYTES = 512 * 1024
# 256 KiB: what the event loop reads and sends in one go.
STEP_BYTES = 256 * 1024
# As many as a registry has workers; what more are used at once go back to the system.
KEPT_BUFFERS = 2
# 4 MiB: the least that a worker moves before others have their turn, a millisecond or two.
TURN_BYTES = 4 * 1024 * 1024
# 32 MiB: what all lines may move before the first one has its turn again; a line that is alone has it all.
ROUND_BYTES = 32 * 1024 * 1024
# A client that has moved a whole buffer is quick enough to be waited for, for 2 ms: going through the event loop would
# take as long.
PATIENCE_MILLISECONDS = 2
# So often in a turn at most: without a bound one that turns slow would keep its worker.
PATIENCE_TIMES = 8


class Stop(Enum):
    """Why a line stopped sending."""

    DONE = "all is sent that was to be sent in this turn"
    FULL = "the client takes no more at present"
    COLD = "what comes next is not in memory"


class LineLostError(Exception):
    """The client is gone. No OSError: what fills and takes has failures of that kind, which mean something else."""


def wait_briefly(descriptor: int, event: int) -> bool:
    """The patience that a worker has with a quick client."""
    poll = select.poll()
    poll.register(descriptor, event)
    return bool(poll.poll(PATIENCE_MILLISECONDS))


class Buffers:
    """What the lines of one listener share: the buffers of its workers, and their turns.

    A buffer that was new for each turn would cost as much as a tenth of the turn.
    """

    def __init__(self) -> None:
        self._free: deque[memoryview] = deque(maxlen=KEPT_BUFFERS)
        self._lines = 0

    @property
    def turn_bytes(self) -> int:
        """How much a line may move in one turn."""
        return max(TURN_BYTES, ROUND_BYTES // max(1, self._lines))

    @contextmanager
    def borrow(self) -> Iterator[memoryview]:
        """A buffer of `BUFFER_BYTES`, for the block alone."""
        try:
            buffer = self._free.pop()
        except IndexError:
            buffer = memoryview(bytearray(BUFFER_BYTES))
        try:
            yield buffer
        finally:
            self._free.append(buffer)

    def count_line(self, change: int) -> None:
        """A line has been opened (1) or closed (-1)."""
        self._lines += change


class Line:
    """A descriptor of a connection, of its own: a worker may still use it when the connection has been closed.

    Attributes:
        received: how many bytes were read, those included that whoever took them failed on.
    """

    def __init__(self, connection: socket.socket, *, buffers: Buffers | None = None, wait: Wait = wait_briefly) -> None:
        """Open it. The client sees no end of the connection before it is closed here, too."""
        self.received = 0
        self._buffers = buffers or Buffers()
        self._wait = wait
        self._descriptor = os.dup(connection.fileno())
        self._users = 1
        self._lock = threading.Lock()
        self._buffers.count_line(1)

    def close(self) -> None:
        """Let go of it; a worker that is at it keeps it until it is done. To be called once."""
        self._buffers.count_line(-1)
        self._leave()

    def _leave(self) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                os.close(self._descriptor)

    def send_now(self, fill: Fill, start: int, stop: int) -> tuple[int, Stop]:
        """Send as `send` does, on the event loop, waiting for nothing; says up to where, and why no further.

        `fill` raises BlockingIOError where it would have to wait.

        Raises:
            LineLostError: the client is gone.
        """
        position = start
        with self._buffers.borrow() as whole:
            buffer = whole[:STEP_BYTES]
            while position < stop:
                try:
                    piece = buffer[: fill(buffer[: stop - position], position)]
                except BlockingIOError:
                    return position, Stop.COLD
                try:
                    sent = os.write(self._descriptor, piece)
                except BlockingIOError:
                    return position, Stop.FULL
                except OSError as error:
                    raise LineLostError from error
                position += sent
                if sent < len(piece):
                    return position, Stop.FULL
                # A client on this machine, and on this processor, takes the step while it is in the cache: a long pull
                # in half the time. It costs a microsecond where nobody waits for the processor.
                os.sched_yield()
        return position, Stop.DONE

    def send(self, fill: Fill, start: int, stop: int) -> tuple[int, Stop]:
        """Send what `fill` gives for the positions from `start` up to `stop`, for a turn, as far as it is taken.

        Says up to where, and why no further.

        Raises:
            LineLostError: the client is gone.
        """
        with self._held(), self._buffers.borrow() as buffer:
            return self._send(fill, start, min(stop, start + self._buffers.turn_bytes), buffer)

    def receive(self, take: Take, count: int) -> None:
        """Hand up to `count` bytes to `take`, as far as they are here.

        Raises:
            LineLostError: the client is gone.
        """
        with self._held(), self._buffers.borrow() as buffer:
            take(self._pieces(min(count, self._buffers.turn_bytes), buffer))

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
            self._leave()

    def _send(self, fill: Fill, start: int, stop: int, buffer: memoryview) -> tuple[int, Stop]:
        position = start
        patience = PATIENCE_TIMES
        while position < stop:
            piece = buffer[: fill(buffer[: stop - position], position)]
            while piece:
                try:
                    sent = os.write(self._descriptor, piece)
                except BlockingIOError:
                    if (
                        position - start < BUFFER_BYTES
                        or not patience
                        or not self._wait(self._descriptor, select.POLLOUT)
                    ):
                        return position, Stop.FULL
                    patience -= 1
                    continue
                except OSError as error:
                    raise LineLostError from error
                position += sent
                piece = piece[sent:]
        return position, Stop.DONE

    def _pieces(self, count: int, buffer: memoryview) -> Iterator[memoryview]:
        left = count
        patience = PATIENCE_TIMES
        while left:
            try:
                arrived = os.readv(self._descriptor, [buffer[:left]])
            except BlockingIOError:
                if count - left < BUFFER_BYTES or not patience or not self._wait(self._descriptor, select.POLLIN):
                    return
                patience -= 1
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


def _conclude(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
