"""The few rtnetlink requests that plumb a pod: links, addresses, routes.

`prepare_*` functions build one request each as bytes (pure; the formats are `linux/rtnetlink.h` and
`linux/if_link.h`); `request` sends it and turns the kernel's answer into an `OSError`. Standard library only: the
broker process imports this module, and its memory counts on every platform (docs/adr has the measurement).
"""

import os
import socket
import struct

_RTM_NEWLINK, _RTM_NEWADDR, _RTM_NEWROUTE = 16, 20, 24
_REQUEST, _ACK, _CREATE, _EXCL = 0x1, 0x4, 0x400, 0x200
_NLMSG_ERROR = 2
_IFF_UP = 1
_IFLA_IFNAME, _IFLA_LINKINFO, _IFLA_NET_NS_FD = 3, 18, 28
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5
_TABLE_MAIN, _TABLE_LOCAL = 254, 255
_PROTOCOL_STATIC = 4
_SCOPE_UNIVERSE, _SCOPE_LINK, _SCOPE_HOST = 0, 253, 254
_TYPE_UNICAST, _TYPE_LOCAL = 1, 2
_NLA_NESTED = 0x8000
_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")
# One answer to one request is far smaller than a page.
_ANSWER_BYTES = 4096


def prepare_link_up(index: int) -> bytes:
    """Switch an interface on."""
    return _message(_RTM_NEWLINK, 0, _LINK.pack(socket.AF_UNSPEC, 0, index, _IFF_UP, _IFF_UP))


def prepare_veth(*, name: str, peer: str, peer_namespace: int) -> bytes:
    """Make a pair of interfaces: `name` here, `peer` in the network namespace behind the file descriptor."""
    blank = _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
    other_end = blank + _attribute(_IFLA_IFNAME, _text(peer))
    other_end += _attribute(_IFLA_NET_NS_FD, struct.pack("=I", peer_namespace))
    data = _attribute(_INFO_DATA | _NLA_NESTED, _attribute(_VETH_PEER | _NLA_NESTED, other_end))
    kind = _attribute(_INFO_KIND, b"veth")
    body = blank + _attribute(_IFLA_IFNAME, _text(name)) + _attribute(_IFLA_LINKINFO | _NLA_NESTED, kind + data)
    return _message(_RTM_NEWLINK, _CREATE | _EXCL, body)


def prepare_address(index: int, address: str) -> bytes:
    """Give an interface one address (a /32: everything else is reached by routes)."""
    packed = socket.inet_aton(address)
    head = _ADDRESS.pack(socket.AF_INET, 32, 0, _SCOPE_UNIVERSE, index)
    body = head + _attribute(_IFA_LOCAL, packed) + _attribute(_IFA_ADDRESS, packed)
    return _message(_RTM_NEWADDR, _CREATE | _EXCL, body)


def prepare_route(index: int, *, to: str = "", prefix: int = 0, gateway: str = "") -> bytes:
    """Reach `to/prefix` through an interface: directly, or through a gateway on it."""
    scope = _SCOPE_UNIVERSE if gateway else _SCOPE_LINK
    head = _ROUTE.pack(socket.AF_INET, prefix, 0, 0, _TABLE_MAIN, _PROTOCOL_STATIC, scope, _TYPE_UNICAST, 0)
    body = head + (_attribute(_RTA_DST, socket.inet_aton(to)) if prefix else b"")
    body += _attribute(_RTA_GATEWAY, socket.inet_aton(gateway)) if gateway else b""
    return _message(_RTM_NEWROUTE, _CREATE | _EXCL, body + _attribute(_RTA_OIF, struct.pack("=I", index)))


def prepare_local_route(index: int, *, to: str, prefix: int) -> bytes:
    """Make every address of `to/prefix` this namespace's own, so that a socket can be bound to any of them."""
    head = _ROUTE.pack(socket.AF_INET, prefix, 0, 0, _TABLE_LOCAL, _PROTOCOL_STATIC, _SCOPE_HOST, _TYPE_LOCAL, 0)
    body = head + _attribute(_RTA_DST, socket.inet_aton(to)) + _attribute(_RTA_OIF, struct.pack("=I", index))
    return _message(_RTM_NEWROUTE, _CREATE | _EXCL, body)


def find_error(answer: bytes) -> int:
    """The errno an answer carries; 0 for an acknowledgement."""
    kind = _HEADER.unpack_from(answer)[1]
    return -struct.unpack_from("=i", answer, _HEADER.size)[0] if kind == _NLMSG_ERROR else 0


def request(netlink: socket.socket, message: bytes) -> None:
    """Send one request to the kernel and wait for its answer. Raises OSError."""
    netlink.send(message)
    error = find_error(netlink.recv(_ANSWER_BYTES))
    if error:
        raise OSError(error, os.strerror(error))


def open_netlink() -> socket.socket:
    """A socket to the kernel, in the network namespace the caller is in."""
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)


def _message(kind: int, flags: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | _ACK | flags, 0, 0) + body


def _attribute(kind: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return struct.pack("=HH", length, kind) + value + b"\0" * (-length % 4)


def _text(value: str) -> bytes:
    return value.encode() + b"\0"
