"""Addresses of pods and the loopback addresses of Services.

A pod gets the next free address of its range, the one it had before if that is free. A Service's address on the host's
loopback follows from its cluster IP, so it stays the same for life; several platforms on one machine take different
prefixes (`claim_prefix`).
"""

import contextlib
import ipaddress
import socket
from collections.abc import Iterable, Iterator

# 127.77.0.0/16 for Services, 127.88.0.0/16 for pods without a network of their own; the next ones when taken.
SERVICE_PREFIXES = range(77, 87)
POD_PREFIXES = range(88, 98)


class NoAddressError(OSError):
    """The range is used up."""


class AddressPool:
    """The addresses of pods: none is handed out twice, and none soon after it was given back."""

    def __init__(self, network: str) -> None:
        self.network = network
        parsed = ipaddress.IPv4Network(network)
        self._first = int(parsed.network_address) + 2  # .0 is the network, .1 the gateway
        self._last = int(parsed.broadcast_address) - 1
        self._next = self._first
        self._taken: set[str] = set()

    def take(self, preferred: str = "") -> str:
        """An address; `preferred` if it is free and of this pool. Raises NoAddressError."""
        if preferred and preferred not in self._taken and self._contains(preferred):
            self._taken.add(preferred)
            return preferred
        for candidate in self._candidates():
            address = str(ipaddress.IPv4Address(candidate))
            if address not in self._taken:
                self._next = candidate + 1
                self._taken.add(address)
                return address
        raise NoAddressError("no pod address is left")

    def give_back(self, address: str) -> None:
        """The pod has gone."""
        self._taken.discard(address)

    def _candidates(self) -> Iterator[int]:
        start = self._next if self._next <= self._last else self._first
        yield from range(start, self._last + 1)
        yield from range(self._first, start)

    def _contains(self, address: str) -> bool:
        try:
            return self._first <= int(ipaddress.IPv4Address(address)) <= self._last
        except ValueError:
            return False


class Claim:
    """A loopback prefix that belongs to this platform while the claim is held."""

    def __init__(self, prefix: int, held: socket.socket | None) -> None:
        self.prefix = prefix
        self._held = held

    def address_for(self, cluster_ip: str) -> str:
        """`127.<prefix>.c.d` for a cluster IP `a.b.c.d`."""
        return ".".join(["127", str(self.prefix), *cluster_ip.split(".")[2:]])

    @property
    def network(self) -> str:
        """The claimed range."""
        return f"127.{self.prefix}.0.0/16"

    def release(self) -> None:
        """Let another platform have it."""
        if self._held is not None:
            self._held.close()


def claim_prefix(prefixes: Iterable[int]) -> Claim:
    """The first prefix that no other platform on this machine holds; the last one, shared, when all are held."""
    prefix = 0
    for prefix in prefixes:
        held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        # An abstract name is exclusive on the machine and goes with its process, however that ends.
        with contextlib.suppress(OSError):
            held.bind(f"\0towpath-loopback-127.{prefix}")
            return Claim(prefix, held)
        held.close()
    return Claim(prefix, None)
