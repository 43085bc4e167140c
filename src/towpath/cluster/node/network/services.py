"""Service traffic: for every TCP port of every Service with a cluster IP, a proxy in the hub and one on the loopback.

Pods reach a Service at its cluster IP (a socket in the hub network), people and pods of the host network at an address
of its own on the host's loopback, which the annotation `towpath.dev/loopback` tells. Backends are the ready endpoints
of its EndpointSlices at the moment of the connection.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from towpath.aio.tasks import Background
from towpath.aio.workqueue import WorkQueue
from towpath.cluster.node.network.names import SERVICE_NAME_LABEL, endpoints_of
from towpath.cluster.node.network.proxy import Address, Connect, Proxy
from towpath.cluster.node.sandbox.launcher import SandboxError
from towpath.kube.errors import ApiError
from towpath.kube.objects import GVK, Object, annotations_of, find_path, labels_of, name_of, namespace_of
from towpath.kube.requests import Patch, PatchType, WriteOptions

log = logging.getLogger(__name__)

SERVICE = GVK("", "v1", "Service")
LOOPBACK_ANNOTATION = "towpath.dev/loopback"
FIELD_MANAGER = "towpath-node"
# Ports below 1024 are the superuser's on the host: 80 becomes 8080 and 443 becomes 8443, as everyone expects.
UNPRIVILEGED_OFFSET = 8000
_REFUSED = frozenset({errno.EACCES, errno.EPERM})

Listen = Callable[[str, str, int], Awaitable[socket.socket]]


class ServiceKey(NamedTuple):
    """A Service by namespace and name."""

    namespace: str
    name: str


class Where(NamedTuple):
    """One listening place of a Service port."""

    place: str  # "hub" or "loopback"
    address: str
    port: int
    name: str  # of the Service's port


class ServicePatcher(Protocol):
    """The one verb needed here."""

    async def patch(self, gvk: GVK, name: str, namespace: str, patch: Patch, options: WriteOptions) -> Object:
        """Change some fields. Raises ApiError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterPorts:
    """What the router works with."""

    client: ServicePatcher
    find_service: Callable[[ServiceKey], Object | None]
    slices: Callable[[str], Iterable[Object]]  # of a namespace
    connect: Connect
    loopback_of: Callable[[str], str]  # a cluster IP's address on the host's loopback
    listen_in_hub: Listen | None  # None where there is no hub


class ServiceRouter:
    """Keeps the proxies of all Services."""

    def __init__(self, ports: RouterPorts) -> None:
        self._ports = ports
        self._queue: WorkQueue[ServiceKey] = WorkQueue()
        self._proxies: dict[ServiceKey, dict[Where, tuple[Proxy, Address]]] = {}
        self._background = Background()

    def start(self) -> None:
        """Begin to follow changes."""
        self._background.run_forever("services", lambda: self._queue.work(self._reconcile, self._report))

    async def close(self) -> None:
        """End all proxies."""
        self._queue.close()
        await self._background.close()
        for key in list(self._proxies):
            await self._close_all(key)

    def changed(self, key: ServiceKey) -> None:
        """A Service was made, changed or deleted."""
        self._queue.add(key)

    async def reset(self) -> None:
        """Begin anew: the hub, and every socket in it, was lost."""
        for key in list(self._proxies):
            await self._close_all(key)
            self._queue.add(key)

    async def _reconcile(self, key: ServiceKey) -> None:
        service = self._ports.find_service(key)
        wanted = self._plan(service) if service is not None else {}
        present = self._proxies.setdefault(key, {})
        for where in [where for where in present if where not in wanted]:
            proxy, _ = present.pop(where)
            await proxy.close()
        for where in [where for where in wanted if where not in present]:
            present[where] = await self._open(key, where)
        if not present:
            self._proxies.pop(key)
        if service is not None:
            await self._annotate(service, [address for where, (_, address) in present.items() if where.place != "hub"])

    def _plan(self, service: Object) -> Mapping[Where, None]:
        cluster_ip = find_path(service, "spec", "clusterIP") or ""
        if cluster_ip in {"", "None"}:
            return {}
        places = [("loopback", self._ports.loopback_of(cluster_ip))]
        if self._ports.listen_in_hub is not None:
            places.insert(0, ("hub", cluster_ip))
        return {
            Where(place, address, int(port["port"]), port.get("name") or ""): None
            for place, address in places
            for port in find_path(service, "spec", "ports") or []
            if port.get("protocol", "TCP") == "TCP"
        }

    async def _open(self, key: ServiceKey, where: Where) -> tuple[Proxy, Address]:
        if where.place == "hub" and self._ports.listen_in_hub is not None:
            listening = await self._ports.listen_in_hub("tcp", where.address, where.port)
        else:
            listening = listen_on_loopback(where.address, where.port)
        address: Address = (where.address, listening.getsockname()[1])
        proxy = Proxy(listening, backends=lambda: self._backends(key, where.name), connect=self._ports.connect)
        await proxy.start()
        return proxy, address

    def _backends(self, key: ServiceKey, port_name: str) -> list[Address]:
        slices = [s for s in self._ports.slices(key.namespace) if labels_of(s).get(SERVICE_NAME_LABEL) == key.name]
        return [
            (endpoint.address, endpoint.ports[port_name])
            for endpoint in endpoints_of(slices)
            if endpoint.ready and endpoint.ports.get(port_name)
        ]

    async def _annotate(self, service: Object, addresses: list[Address]) -> None:
        text = ",".join(f"{host}:{port}" for host, port in addresses)
        if annotations_of(service).get(LOOPBACK_ANNOTATION, "") == text:
            return
        patch = Patch(PatchType.MERGE, {"metadata": {"annotations": {LOOPBACK_ANNOTATION: text or None}}})
        options = WriteOptions(field_manager=FIELD_MANAGER)
        await self._ports.client.patch(SERVICE, name_of(service), namespace_of(service), patch, options)

    async def _close_all(self, key: ServiceKey) -> None:
        for proxy, _ in self._proxies.pop(key, {}).values():
            await proxy.close()

    def _report(self, key: ServiceKey, error: Exception) -> None:
        level = logging.INFO if isinstance(error, ApiError | OSError | SandboxError) else logging.ERROR
        log.log(level, "service %s/%s is not routed yet: %s", key.namespace, key.name, error)


def listen_on_loopback(address: str, port: int) -> socket.socket:
    """A listening socket on the host; a privileged port moves up by 8000 for an ordinary user. Raises OSError."""
    try:
        return _listen(address, port)
    except OSError as error:
        if error.errno not in _REFUSED or port >= 1024:
            raise
    return _listen(address, port + UNPRIVILEGED_OFFSET)


def _listen(address: str, port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setblocking(False)
        listening.bind((address, port))
        listening.listen(512)
    except BaseException:
        listening.close()
        raise
    return listening


async def connect_from_host(host: str, port: int) -> socket.socket:
    """A TCP connection made in the host's network. Raises OSError."""
    return await connect_socket(socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK), host, port)


async def connect_socket(unconnected: socket.socket, host: str, port: int) -> socket.socket:
    """Connect a socket, whose network it is made in; closed on failure. Raises OSError."""
    try:
        await asyncio.get_running_loop().sock_connect(unconnected, (host, port))
    except BaseException:
        unconnected.close()
        raise
    return unconnected
