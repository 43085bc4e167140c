"""Host names and addresses as they stand in URLs and `Host` headers; which of them are this machine's loopback."""

import ipaddress


def is_loopback(authority: str) -> bool:
    """Whether `host[:port]` is this machine's loopback."""
    return is_loopback_host(split_port(authority))


def is_loopback_host(host: str) -> bool:
    """Whether a host name or address (no port) is this machine's loopback."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def reachable_address(address: str) -> str:
    """Where a program on this machine reaches a listener: one that is open to all is also at loopback."""
    for wildcard, loopback in (("0.0.0.0:", "127.0.0.1:"), ("[::]:", "[::1]:")):
        if address.startswith(wildcard):
            return loopback + address.removeprefix(wildcard)
    return address


def split_port(authority: str) -> str:
    """The lower-case host of `host[:port]`; brackets around an IPv6 address are dropped."""
    if authority.startswith("["):
        return authority[1:].partition("]")[0].lower()
    return authority.rpartition(":")[0].lower() if authority.count(":") == 1 else authority.lower()
