import struct

import pytest

from towpath.cluster.node.network.dns import FORMAT_ERROR, NAME_ERROR, NOT_IMPLEMENTED, answer

ZONE: dict[str, list[str]] = {
    "web.dev": ["10.43.0.9"],
    "fleet": ["10.42.0.2", "10.42.0.3"],
    "crowd": [f"10.1.{n}.1" for n in range(99)],
}


def query(name: str, kind: int = 1, *, flags: int = 0x0100, extra: int = 0) -> bytes:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return struct.pack(">HHHHHH", 7, flags, 1, 0, 0, extra) + labels + b"\0" + struct.pack(">HH", kind, 1)


def read(reply: bytes | None) -> tuple[int, int, list[str]]:
    assert reply is not None
    number, flags, _, count, _, _ = struct.unpack_from(">HHHHHH", reply)
    addresses = [".".join(map(str, reply[len(reply) - 16 * n - 4 :][:4])) for n in reversed(range(count))]
    return number, flags, addresses


def test_an_address_query_is_answered_with_every_address() -> None:
    number, flags, addresses = read(answer(query("fleet"), ZONE.get))
    assert number == 7
    assert flags & 0x8180 == 0x8180  # a reply; recursion was desired and is available
    assert flags & 0xF == 0
    assert addresses == ["10.42.0.2", "10.42.0.3"]


def test_other_record_types_of_an_existing_name_are_empty_and_not_an_error() -> None:
    _, flags, addresses = read(answer(query("web.dev", kind=28), ZONE.get))
    assert (flags & 0xF, addresses) == (0, [])


def test_an_unknown_name_does_not_exist() -> None:
    assert read(answer(query("nobody"), ZONE.get))[1] & 0xF == NAME_ERROR


def test_a_reply_fits_what_the_client_can_take() -> None:
    plain, extended = answer(query("crowd"), ZONE.get), answer(query("crowd", extra=1), ZONE.get)
    assert plain is not None
    assert extended is not None
    assert len(plain) <= 512 < len(extended) <= 1232


def test_another_operation_is_not_implemented() -> None:
    assert read(answer(query("fleet", flags=0x2000), ZONE.get))[1] & 0xF == NOT_IMPLEMENTED


def test_a_reply_is_never_answered() -> None:
    assert answer(query("fleet", flags=0x8000), ZONE.get) is None


@pytest.mark.parametrize("length", range(len(query("web.dev"))))
def test_every_cut_query_is_refused_or_ignored(length: int) -> None:
    reply = answer(query("web.dev")[:length], ZONE.get)
    assert reply is None if length < 12 else read(reply)[1] & 0xF == FORMAT_ERROR


@pytest.mark.parametrize("label", [b"\xc0\x0c", b"\x05ab", b"\x03\xff\xff\xff\0"])
def test_a_question_that_points_or_lies_is_a_format_error(label: bytes) -> None:
    message = struct.pack(">HHHHHH", 7, 0, 1, 0, 0, 0) + label
    assert read(answer(message, ZONE.get))[1] & 0xF == FORMAT_ERROR
