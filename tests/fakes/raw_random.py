"""Exchanges at random over one connection: bodies and contents of any length, cut, paused and pipelined at will."""

import asyncio
import hashlib
import random
from dataclasses import dataclass

from fakes.contents_app import content_of
from fakes.raw_http import RawConnection, format_head
from towpath.http.direct import WAITING_BYTES, WORTHWHILE_BYTES
from towpath.http.line import BUFFER_BYTES, TURN_BYTES

# Every bound that there is, some of them twice and three times over, and next to nothing.
BOUNDS = (0, 100, 65_536, WORTHWHILE_BYTES, WAITING_BYTES, BUFFER_BYTES, 3 * BUFFER_BYTES, TURN_BYTES)
# A whole cut or pause after this many pieces at most, so that a test ends.
PIECES = 60


@dataclass(frozen=True)
class Asked:
    """One request as it goes out, and the body of its answer."""

    sent: bytes
    answer: bytes


def ask_at_random(chance: random.Random) -> Asked:
    """A request of `fakes.contents_app`."""
    size = max(0, chance.choice(BOUNDS) + chance.randint(-3, 3))
    kind = chance.choice(["take", "take", "take", "stream", "give", "give", "give"])
    if kind == "give":
        return Asked(format_head("GET", f"/{size}"), content_of(size))
    body = content_of(size)
    digest = hashlib.sha256(body).hexdigest().encode()
    if kind == "take":
        return Asked(format_head("PUT", "/", content_length=str(size)) + body, digest)
    step = chance.choice([1000, 70_000, max(1, size)])
    pieces = [body[start : start + step] for start in range(0, size, step)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return Asked(format_head("PUT", "/", transfer_encoding="chunked") + chunks + b"0\r\n\r\n", digest)


async def talk_at_random(port: int, chance: random.Random, *, requests: int) -> None:
    """Ask and compare, byte by byte; who fails says which request it was."""
    small = chance.random() < 0.5
    connection = await RawConnection.open(port, receive_buffer=4096 if small else 0)
    asked = [ask_at_random(chance) for _ in range(requests)]
    sending = asyncio.create_task(_send(connection, b"".join(each.sent for each in asked), chance))
    for number, each in enumerate(asked):
        head = await connection.receive_head()
        assert head.status == 200, f"request {number}: {head}"
        assert int(head.headers["content-length"]) == len(each.answer), f"request {number}: {head}"
        received = bytearray()
        while len(received) < len(each.answer):
            if chance.random() < 0.05:
                await asyncio.sleep(chance.choice([0.0, 0.001]))
            left = len(each.answer) - len(received)
            received += await connection.reader.readexactly(min(left, chance.choice([1, 5000, 300_000, left])))
        assert received == each.answer, f"request {number}: other bytes of {len(each.answer)}"
    await sending
    await connection.close()


async def _send(connection: RawConnection, data: bytes, chance: random.Random) -> None:
    cuts = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randrange(PIECES)))
    for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True):
        await connection.send(data[start:stop])
        if chance.random() < 0.5:
            await asyncio.sleep(chance.choice([0.0, 0.0, 0.002]))
