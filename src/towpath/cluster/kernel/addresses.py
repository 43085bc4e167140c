"""Cluster IPs of Services.

An address follows from the Service's namespace and name (the next free one if it is taken), so that a Service made
anew usually gets the address it had, and nothing has to be remembered.
"""

import ipaddress
import zlib
from collections.abc import Collection

DEFAULT_RANGE = "10.43.0.0/16"  # k3s's
RESERVED = 16  # the first addresses: the network's own, the API server's, the name server's


class AddressRange:
    """The range cluster IPs come from."""

    def __init__(self, network: str = DEFAULT_RANGE) -> None:
        """Raises ValueError for a text that is not an IPv4 network in CIDR form."""
        self._network = ipaddress.IPv4Network(network)

    def __str__(self) -> str:
        return str(self._network)

    def __contains__(self, address: str) -> bool:
        try:
            return ipaddress.IPv4Address(address) in self._network
        except ValueError:
            return False

    def find_free(self, namespace: str, name: str, *, taken: Collection[str]) -> str | None:
        """An address for this Service, or None when all are taken."""
        usable = self._network.num_addresses - RESERVED - 1  # the last one is the broadcast address
        if usable <= 0:
            return None
        start = zlib.crc32(f"{namespace}/{name}".encode()) % usable
        for step in range(usable):
            address = str(self._network[RESERVED + (start + step) % usable])
            if address not in taken:
                return address
        return None
