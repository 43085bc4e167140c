"""What the proxies of Services may connect to.

Whoever may write an EndpointSlice names the address, and the node connects with its own reach: to programs on the
host's loopback, or a cloud's metadata service, that no pod could get at. So only pods and other machines are reached.
"""

import ipaddress
import socket
from collections.abc import Callable, Collection


def refuse_endpoint(
    host: str,
    port: int,
    *,
    pods: ipaddress.IPv4Network,
    declared: Collection[tuple[str, int]],
    is_local: Callable[[str], bool],
) -> str:
    """Why an endpoint is not reached; "" if it is (pure).

    Args:
        host: its address.
        port: its port.
        pods: the range of this node's pods.
        declared: what may be reached on the host: the API, and the ports of pods on its network.
        is_local: whether an address is one of this machine's.
    """
    if (host, port) in declared:
        return ""
    try:
        address = ipaddress.IPv4Address(host)
    except ValueError:
        return "it is no IPv4 address"
    if address in pods:
        return ""
    if address.is_loopback or address.is_link_local or address.is_unspecified:
        return "it is of this machine alone"
    if address.is_multicast or address.is_reserved:
        return "it is no machine's"
    if is_local(host):
        return "it is an address of this machine"
    return ""


def is_local_address(host: str) -> bool:
    """Whether an address is one of this machine's: then the kernel talks to it from itself. Sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect((host, 9))  # any port; connecting a datagram socket only looks for a route
        except OSError:
            return False
        return bool(asked.getsockname()[0] == host)
