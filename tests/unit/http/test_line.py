"""A connection's socket as workers use it, at both ends of a real pair of sockets."""

import asyncio
import contextlib
import os
import select
import socket
import threading
from collections.abc import Callable, Iterable, Iterator

import pytest

from towpath.http.line import BUFFER_BYTES, PATIENCE_TIMES, ROUND_BYTES, TURN_BYTES, Buffers, Line, LineLostError, Stop

CONTENT = os.urandom(1_000_003)
PIECE = 64 * 1024


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Ours, which does not block, and the client's."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


class Taken:
    """What was taken, piece by piece, copied as it is only valid until the next."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def __call__(self, pieces: Iterable[bytes | memoryview]) -> None:
        for piece in pieces:
            self.pieces.append(bytes(piece))

    @property
    def content(self) -> bytes:
        return b"".join(self.pieces)


def fill(buffer: memoryview, position: int) -> int:
    piece = CONTENT[position : position + len(buffer)]
    buffer[: len(piece)] = piece
    return len(piece)


def fill_zeros(buffer: memoryview, position: int) -> int:
    del position
    return len(buffer)


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


async def receive_all(line: Line, taken: Taken, count: int) -> None:
    while len(taken.content) < count:
        await asyncio.to_thread(line.receive, taken, count - len(taken.content))
        if len(taken.content) < count:
            await line.receivable()


async def test_what_arrives_is_handed_over_in_pieces_no_larger_than_the_buffer(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    line, taken = Line(ours), Taken()
    sender = threading.Thread(target=theirs.sendall, args=(CONTENT,))
    sender.start()
    await receive_all(line, taken, len(CONTENT))
    sender.join()
    assert taken.content == CONTENT
    assert line.received == len(CONTENT)
    assert max(map(len, taken.pieces)) <= BUFFER_BYTES
    line.close()


def test_no_more_is_read_than_was_asked_for(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    line, taken = Line(ours), Taken()
    theirs.sendall(b"bodyGET / HTTP/1.1")
    line.receive(taken, 4)
    assert (taken.content, ours.recv(100)) == (b"body", b"GET / HTTP/1.1")
    line.close()


def test_a_client_that_has_sent_nothing_keeps_no_worker(pair: tuple[socket.socket, socket.socket]) -> None:
    line, taken = Line(pair[0]), Taken()
    line.receive(taken, 10)
    assert taken.pieces == []
    line.close()


def test_a_client_that_has_hung_up_is_lost(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    line, taken = Line(ours), Taken()
    theirs.sendall(b"half")
    theirs.close()
    with pytest.raises(LineLostError):
        line.receive(taken, 8)
    assert (taken.content, line.received) == (b"half", 4)
    line.close()


def test_a_client_that_has_gone_while_it_is_sent_to_is_lost(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    line = Line(ours)
    theirs.close()
    with pytest.raises(LineLostError):
        line.send(fill, 0, 100)
    line.close()


def test_what_whoever_takes_it_failed_on_counts_as_received(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    line = Line(ours)
    theirs.sendall(b"12345")

    def fail(pieces: Iterable[bytes | memoryview]) -> None:
        for _ in pieces:
            raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        line.receive(fail, 100)
    assert line.received == 5
    line.close()


async def test_what_is_sent_arrives_however_slowly_it_is_read(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    line, read = Line(ours), bytearray()

    def read_slowly() -> None:
        while piece := theirs.recv(10_007):
            read.extend(piece)

    reader = threading.Thread(target=read_slowly)
    reader.start()
    position = 3
    while position < len(CONTENT):
        position, _ = await asyncio.to_thread(line.send, fill, position, len(CONTENT))
        if position < len(CONTENT):
            await line.sendable()
    line.close()
    ours.close()
    reader.join()
    assert read == CONTENT[3:]


def test_a_client_that_does_not_read_keeps_no_worker(pair: tuple[socket.socket, socket.socket]) -> None:
    line = Line(pair[0])
    reached, why = line.send(fill_zeros, 0, 1 << 30)
    assert why is Stop.FULL
    assert 0 < reached < TURN_BYTES
    assert line.send(fill_zeros, reached, 1 << 30) == (reached, Stop.FULL)
    line.close()


def test_a_turn_ends_however_quick_the_sender_is(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    line = Line(ours)

    def take(pieces: Iterable[bytes | memoryview]) -> None:
        for _ in pieces:
            theirs.send(bytes(PIECE))

    theirs.send(bytes(PIECE))
    line.receive(take, 1 << 30)
    assert line.received == ROUND_BYTES
    line.close()


def test_a_turn_ends_however_quick_the_reader_is(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    line = Line(ours)

    def fill_and_read(buffer: memoryview, position: int) -> int:
        if position:
            theirs.recv(PIECE, socket.MSG_WAITALL)
        return min(len(buffer), PIECE)

    assert line.send(fill_and_read, 0, 1 << 30) == (ROUND_BYTES, Stop.DONE)
    line.close()


def test_what_is_in_memory_is_sent_at_once_until_the_client_takes_no_more(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    line = Line(ours)
    reached, why = line.send_now(fill, 0, len(CONTENT))
    assert why is Stop.FULL
    assert theirs.recv(reached, socket.MSG_WAITALL) == CONTENT[:reached]
    assert line.send_now(fill, len(CONTENT) - 5, len(CONTENT)) == (len(CONTENT), Stop.DONE)
    line.close()


def test_what_is_not_in_memory_is_left_to_a_worker(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    line = Line(ours)

    def fill_the_first(buffer: memoryview, position: int) -> int:
        if position:
            raise BlockingIOError
        return fill(buffer[:9], position)

    assert line.send_now(fill_the_first, 0, len(CONTENT)) == (9, Stop.COLD)
    assert theirs.recv(100) == CONTENT[:9]
    line.close()


def test_a_client_that_is_gone_is_told_from_one_that_takes_no_more(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    line = Line(ours)
    theirs.close()
    with pytest.raises(LineLostError):
        line.send_now(fill, 0, len(CONTENT))
    line.close()


def test_many_lines_have_shorter_turns_than_one(pair: tuple[socket.socket, socket.socket]) -> None:
    buffers = Buffers()
    lines = [Line(pair[0], buffers=buffers) for _ in range(4)]
    assert buffers.turn_bytes == ROUND_BYTES // 4
    lines += [Line(pair[0], buffers=buffers) for _ in range(96)]
    assert buffers.turn_bytes == TURN_BYTES
    for line in lines:
        line.close()
    assert buffers.turn_bytes == ROUND_BYTES


def test_a_buffer_is_lent_again_and_never_to_two() -> None:
    buffers = Buffers()
    with buffers.borrow() as first, buffers.borrow() as second:
        assert first.obj is not second.obj
        lent = {id(first.obj), id(second.obj)}
    with buffers.borrow() as again:
        assert id(again.obj) in lent


class Trickle:
    """A client that moves a little each time that a worker waits for it; how often it was waited for."""

    def __init__(self, move: Callable[[], object]) -> None:
        self._move = move
        self.events: list[int] = []

    def __call__(self, descriptor: int, event: int) -> bool:
        del descriptor
        self.events.append(event)
        self._move()
        return True


def test_a_sender_that_turns_slow_loses_its_worker(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    trickle = Trickle(lambda: theirs.send(b"x"))
    line = Line(ours, wait=trickle)

    def take(pieces: Iterable[bytes | memoryview]) -> None:
        moved = 0
        for piece in pieces:
            moved += len(piece)
            if moved < BUFFER_BYTES + PIECE:
                theirs.send(bytes(PIECE))

    theirs.send(bytes(PIECE))
    line.receive(take, 1 << 30)
    assert trickle.events == [select.POLLIN] * PATIENCE_TIMES
    line.close()


def test_a_reader_that_turns_slow_loses_its_worker(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.setblocking(False)
    trickle = Trickle(lambda: theirs.recv(1))
    line = Line(ours, wait=trickle)

    def fill_and_read(buffer: memoryview, position: int) -> int:
        with contextlib.suppress(BlockingIOError):
            while position < 2 * BUFFER_BYTES:
                theirs.recv(PIECE)
        return min(len(buffer), PIECE)

    reached, why = line.send(fill_and_read, 0, 1 << 30)
    assert (reached > BUFFER_BYTES, why) == (True, Stop.FULL)
    assert trickle.events == [select.POLLOUT] * PATIENCE_TIMES
    line.close()


def test_a_quick_sender_is_waited_for(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    line, taken = Line(ours, wait=Trickle(lambda: theirs.send(bytes(PIECE)))), Taken()

    def take(pieces: Iterable[bytes | memoryview]) -> None:
        moved = 0
        for piece in pieces:
            moved += len(piece)
            if moved < BUFFER_BYTES:
                theirs.send(bytes(PIECE))
        taken([bytes(moved)])

    theirs.send(bytes(PIECE))
    line.receive(take, BUFFER_BYTES + 4 * PIECE)
    assert len(taken.content) == BUFFER_BYTES + 4 * PIECE
    line.close()


async def test_its_descriptor_stays_while_a_worker_is_at_it(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    line, taken, may_go_on = Line(ours), Taken(), threading.Event()
    descriptor = line._descriptor

    def take_late(pieces: Iterable[bytes | memoryview]) -> None:
        may_go_on.wait()
        taken(pieces)

    at_it = asyncio.create_task(asyncio.to_thread(line.receive, take_late, 4))
    while line._users == 1:  # noqa: ASYNC110 - nothing tells that it began
        await asyncio.sleep(0)
    line.close()
    ours.close()
    theirs.sendall(b"1234")
    assert is_open(descriptor)
    may_go_on.set()
    await at_it
    assert taken.content == b"1234"
    assert not is_open(descriptor)


def test_what_is_closed_is_lost_to_a_worker_that_comes_late(pair: tuple[socket.socket, socket.socket]) -> None:
    line = Line(pair[0])
    line.close()
    with pytest.raises(LineLostError):
        line.receive(Taken(), 1)
    with pytest.raises(LineLostError):
        line.send(fill, 0, 1)


@pytest.mark.parametrize("event", ["sendable", "receivable"])
async def test_a_wait_ends_when_the_client_goes_away(pair: tuple[socket.socket, socket.socket], event: str) -> None:
    ours, theirs = pair
    line = Line(ours)
    line.send(fill_zeros, 0, 1 << 30)
    waiting = asyncio.create_task(getattr(line, event)())
    await asyncio.sleep(0)
    assert not waiting.done()
    theirs.close()
    await waiting
    line.close()


@pytest.mark.parametrize("event", ["sendable", "receivable"])
async def test_a_wait_that_is_broken_off_leaves_nothing_to_wait_for(
    pair: tuple[socket.socket, socket.socket], event: str
) -> None:
    line = Line(pair[0])
    line.send(fill_zeros, 0, 1 << 30)
    waiting = asyncio.create_task(getattr(line, event)())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    loop = asyncio.get_running_loop()
    assert not loop.remove_reader(line._descriptor)
    assert not loop.remove_writer(line._descriptor)
    line.close()
