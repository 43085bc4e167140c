"""The wire format, against what `ip` from iproute2 sends (attribute layout of linux/rtnetlink.h)."""

import errno
import socket
import struct

import pytest

from towpath.cluster.node.network.netlink import (
    find_error,
    open_netlink,
    prepare_address,
    prepare_link_up,
    prepare_local_route,
    prepare_route,
    prepare_veth,
    request,
)


def header(message: bytes) -> tuple[int, int, int]:
    length, kind, flags, _, _ = struct.unpack_from("=IHHII", message)
    return length, kind, flags


def attributes(content: bytes) -> dict[int, bytes]:
    found = {}
    while content:
        length, kind = struct.unpack_from("=HH", content)
        found[kind] = content[4:length]
        content = content[(length + 3) & ~3 :]
    return found


def test_every_message_says_its_own_length_and_wants_an_answer() -> None:
    for message in (
        prepare_link_up(3),
        prepare_veth(name="eth0", peer="tp1", peer_namespace=9),
        prepare_address(3, "10.42.0.2"),
        prepare_route(3, gateway="10.42.0.1"),
        prepare_local_route(1, to="10.43.0.0", prefix=16),
    ):
        length, _, flags = header(message)
        assert length == len(message)
        assert flags & 0x5 == 0x5  # a request that is to be acknowledged


def test_a_veth_pair_names_both_ends_and_the_namespace_of_the_other() -> None:
    message = prepare_veth(name="eth0", peer="tp1", peer_namespace=9)
    outer = attributes(message[32:])
    assert outer[3] == b"eth0\0"
    info = attributes(outer[18 | 0x8000])
    assert info[1].rstrip(b"\0") == b"veth"
    peer = attributes(attributes(info[2 | 0x8000])[1 | 0x8000][16:])
    assert peer[3] == b"tp1\0"
    assert struct.unpack("=I", peer[28])[0] == 9


def test_an_address_is_a_host_address() -> None:
    message = prepare_address(5, "10.42.0.2")
    family, prefix, _, _, index = struct.unpack_from("=BBBBI", message, 16)
    assert (family, prefix, index) == (socket.AF_INET, 32, 5)
    assert attributes(message[24:])[2] == socket.inet_aton("10.42.0.2")


def test_a_default_route_has_a_gateway_and_no_destination() -> None:
    found = attributes(prepare_route(5, gateway="10.42.0.1")[28:])
    assert found[5] == socket.inet_aton("10.42.0.1")
    assert 1 not in found


def test_a_direct_route_has_a_destination_and_no_gateway() -> None:
    found = attributes(prepare_route(5, to="10.42.0.9", prefix=32)[28:])
    assert found[1] == socket.inet_aton("10.42.0.9")
    assert 5 not in found


@pytest.mark.parametrize(("number", "expected"), [(0, 0), (-errno.EEXIST, errno.EEXIST)])
def test_an_answer_is_an_acknowledgement_or_an_error(number: int, expected: int) -> None:
    assert find_error(struct.pack("=IHHIIi", 36, 2, 0, 0, 0, number)) == expected


def test_the_kernel_understands_the_format_and_refuses_what_is_not_there() -> None:
    with open_netlink() as netlink, pytest.raises(OSError) as caught:  # noqa: PT011 - the number is checked below
        request(netlink, prepare_link_up(2**30))
    assert caught.value.errno in {errno.ENODEV, errno.EPERM}
