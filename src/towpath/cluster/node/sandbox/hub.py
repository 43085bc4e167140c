"""The pod network as the broker process holds it: one hub namespace, and one namespace for each pod.

The hub owns the gateway address and the whole Service range; every pod hangs on it by one veth pair with /32 routes, so
no bridge module is needed. A pod's namespace lives as long as a file descriptor here or a process in it: containers
come and go, the address stays. Standard library only, see `broker`.
"""

import contextlib
import os
import socket

from towpath.cluster.node.network.netlink import (
    open_netlink,
    prepare_address,
    prepare_link_up,
    prepare_local_route,
    prepare_route,
    prepare_veth,
    request,
)
from towpath.cluster.node.sandbox.namespaces import CLONE_NEWNET, open_own, setns, unshare

_GATEWAY_LINK = "lo"
_POD_LINK = "eth0"


class Hub:
    """The hub namespace (the one the process is in when this is made) and the namespaces of pods."""

    def __init__(self, *, gateway: str, services: str, services_prefix: int) -> None:
        """Lay out the hub.

        Args:
            gateway: the address pods route through.
            services: the network address of the Service range; all of it becomes bindable here.
            services_prefix: its prefix length.

        Raises:
            OSError: the kernel refused.
        """
        self._gateway = gateway
        self._own = open_own("net")
        self._pods: dict[str, int] = {}
        self._links = 0
        with open_netlink() as netlink:
            loopback = socket.if_nametoindex(_GATEWAY_LINK)
            request(netlink, prepare_link_up(loopback))
            request(netlink, prepare_address(loopback, gateway))
            request(netlink, prepare_local_route(loopback, to=services, prefix=services_prefix))
        _set("net/ipv4/ip_forward", "1")
        _set("net/ipv4/ip_unprivileged_port_start", "0")

    def add_pod(self, name: str, address: str) -> None:
        """Make the namespace of one pod and connect it; a second call with the same name changes nothing."""
        if name in self._pods:
            return
        self._links += 1
        peer = f"tp{self._links}"
        try:
            unshare(CLONE_NEWNET)
            pod = open_own("net")
            try:
                self._plumb_pod(peer, address)
            except BaseException:
                os.close(pod)
                raise
        finally:
            setns(self._own, CLONE_NEWNET)
        try:
            with open_netlink() as netlink:
                index = socket.if_nametoindex(peer)
                request(netlink, prepare_link_up(index))
                request(netlink, prepare_route(index, to=address, prefix=32))
        except BaseException:
            os.close(pod)  # and with it the link
            raise
        self._pods[name] = pod

    def remove_pod(self, name: str) -> None:
        """Let go of a pod's namespace; the kernel takes it down with its last process."""
        descriptor = self._pods.pop(name, None)
        if descriptor is not None:
            os.close(descriptor)

    def enter_pod(self, name: str) -> None:
        """Move this process (a fork that is about to execute a sandbox) into a pod's namespace. Raises OSError."""
        descriptor = self._pods.get(name)
        if descriptor is None:
            raise OSError(f"pod {name} has no network namespace")
        setns(descriptor, CLONE_NEWNET)

    def _plumb_pod(self, peer: str, address: str) -> None:
        _set("net/ipv4/ip_unprivileged_port_start", "0")
        with open_netlink() as netlink:
            request(netlink, prepare_link_up(socket.if_nametoindex("lo")))
            request(netlink, prepare_veth(name=_POD_LINK, peer=peer, peer_namespace=self._own))
            index = socket.if_nametoindex(_POD_LINK)
            request(netlink, prepare_address(index, address))
            request(netlink, prepare_link_up(index))
            request(netlink, prepare_route(index, to=self._gateway, prefix=32))
            request(netlink, prepare_route(index, gateway=self._gateway))


def _set(name: str, value: str) -> None:
    # /proc/sys may be read-only in a container; pods then reach each other only through Services, and ports below
    # 1024 stay closed to them, which is better than no pod network at all.
    with contextlib.suppress(OSError), open(f"/proc/sys/{name}", "w", encoding="ascii") as file:  # noqa: PTH123
        file.write(value)
