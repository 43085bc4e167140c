"""A name server of a few lines: A records of the cluster's zone over UDP (RFC 1035), everything else refused.

`answer` is pure: a query's bytes to a reply's. Pods have no way out of the pod network, so names outside of the zone
do not exist for them; saying so at once is better than a time-out.
"""

import asyncio
import struct
from collections.abc import Callable
from typing import Any, cast

_HEADER = struct.Struct(">HHHHHH")
_TYPE_A, _TYPE_ANY, _CLASS_IN = 1, 255, 1
_RESPONSE, _AUTHORITATIVE, _RECURSION_DESIRED, _RECURSION_AVAILABLE = 0x8000, 0x0400, 0x0100, 0x80
_OPCODE_MASK = 0x7800
FORMAT_ERROR, NAME_ERROR, NOT_IMPLEMENTED = 1, 3, 4
# Short: an address may change with any rollout.
TTL_SECONDS = 5
# RFC 1035 2.3.4; a client says with EDNS that it takes more.
PLAIN_REPLY_BYTES = 512
MOST_REPLY_BYTES = 1232  # what EDNS recommends so that no path fragments it
_POINTER_TO_QUESTION = 0xC00C

Resolve = Callable[[str], list[str] | None]


def answer(query: bytes, resolve: Resolve) -> bytes | None:
    """The reply to a query; None for what must not be answered (it is a reply itself, or too short).

    Args:
        query: as received.
        resolve: a name to its IPv4 addresses; None if it does not exist.
    """
    if len(query) < _HEADER.size:
        return None
    number, flags, questions, _, _, extra = _HEADER.unpack_from(query)
    if flags & _RESPONSE:
        return None
    kept = flags & (_OPCODE_MASK | _RECURSION_DESIRED)
    if flags & _OPCODE_MASK:
        return _HEADER.pack(number, _RESPONSE | kept | NOT_IMPLEMENTED, 0, 0, 0, 0)
    try:
        name, end = _read_name(query, _HEADER.size)
        kind, zone_class = struct.unpack_from(">HH", query, end)
    except (struct.error, IndexError, UnicodeDecodeError):
        return _HEADER.pack(number, _RESPONSE | kept | FORMAT_ERROR, 0, 0, 0, 0)
    if questions != 1:
        return _HEADER.pack(number, _RESPONSE | kept | FORMAT_ERROR, 0, 0, 0, 0)
    question = query[_HEADER.size : end + 4]
    addresses = resolve(name) if zone_class == _CLASS_IN else None
    flags = _RESPONSE | _AUTHORITATIVE | _RECURSION_AVAILABLE | kept | (NAME_ERROR if addresses is None else 0)
    wanted = addresses if addresses and kind in {_TYPE_A, _TYPE_ANY} else []
    records = [_record(address) for address in wanted]
    room = MOST_REPLY_BYTES if extra else PLAIN_REPLY_BYTES
    most = (room - _HEADER.size - len(question)) // len(records[0]) if records else 0
    if len(records) > most:
        # A part of the addresses serves better than a retry over TCP, which is not spoken here.
        records = records[:most]
    return _HEADER.pack(number, flags, 1, len(records), 0, 0) + question + b"".join(records)


class NameServer(asyncio.DatagramProtocol):
    """Answers on a bound UDP socket."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the way back."""
        # No isinstance check: the transports of other event loops are not asyncio's by class.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        """Answer one query."""
        reply = answer(data, self._resolve)
        if reply is not None and self._transport is not None:
            self._transport.sendto(reply, addr)


def _read_name(message: bytes, position: int) -> tuple[str, int]:
    labels = []
    while length := message[position]:
        if length > 63:  # a pointer: a question has nothing to point to
            raise IndexError(position)
        label = message[position + 1 : position + 1 + length]
        if len(label) != length:
            raise IndexError(position)
        labels.append(label.decode("ascii"))
        position += 1 + length
    return ".".join(labels), position + 1


def _record(address: str) -> bytes:
    packed = bytes(int(part) for part in address.split("."))
    return struct.pack(">HHHIH", _POINTER_TO_QUESTION, _TYPE_A, _CLASS_IN, TTL_SECONDS, 4) + packed
