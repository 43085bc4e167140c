"""The network of this node: addresses of pods, names, Services, in whichever mode the machine allows.

With a hub every pod has a namespace and an address of its own; without, pods share the host's network, each with a
loopback address of its own as pod IP, and names come from `/etc/hosts` alone. Pods with `hostNetwork` always share the
host's. When the broker that holds the hub crashes, the hub is laid out again and every pod is connected anew.
"""

import asyncio
import contextlib
import errno
import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from towpath.aio.backoff import Backoff
from towpath.aio.tasks import Background
from towpath.cluster.node.network.addresses import POD_PREFIXES, SERVICE_PREFIXES, AddressPool, Claim, claim_prefix
from towpath.cluster.node.network.dns import NameServer
from towpath.cluster.node.network.hosts import format_hosts, format_resolv_conf, service_entries
from towpath.cluster.node.network.names import NameTable
from towpath.cluster.node.network.proxy import Proxy
from towpath.cluster.node.network.reach import is_local_address, refuse_endpoint
from towpath.cluster.node.network.services import connect_from_host, connect_socket
from towpath.cluster.node.sandbox.argv import Mount
from towpath.cluster.node.sandbox.launcher import HubNetwork, Launcher, SandboxError
from towpath.cluster.node.settings import NodeSettings
from towpath.kube.objects import Object, find_path, name_of, namespace_of, uid_of

log = logging.getLogger(__name__)

ETC_FILES = ("hosts", "resolv.conf", "hostname", "host.conf")
API_PORT = 443
DNS_PORT = 53
HOST_IP = "127.0.0.1"
HOST_RESOLV_CONF = Path("/etc/resolv.conf")
_RECOVERY = Backoff(initial_seconds=0.1, cap_seconds=5.0)


@dataclass(slots=True, kw_only=True)
class AttachedPod:
    """One pod's place in the network. Satisfies `network.ports.PodNetwork`."""

    pod: Object
    address: str
    launcher: Launcher
    namespace: str
    directory: Path
    network: "ClusterNetwork"
    mounts: list[Mount] = field(default_factory=list)

    async def connect(self, host: str, port: int) -> socket.socket:
        """A TCP connection made where the pod is. Raises OSError."""
        return await self.network.connect(host, port)


class ClusterNetwork:
    """Attaches pods. `start` it before anything else of the node, `close` it last."""

    def __init__(
        self,
        settings: NodeSettings,
        *,
        services: Callable[[], Iterable[Object]],
        slices: Callable[[], Iterable[Object]],
    ) -> None:
        """Remember the parts.

        Args:
            settings: ranges and names.
            services: all Services.
            slices: all EndpointSlices.
        """
        self._settings = settings
        self._services = services
        self._pods: dict[str, AttachedPod] = {}
        self._hub: Launcher | None = None
        self._host: Launcher | None = None
        self._pool = AddressPool(settings.pod_range)
        self._pod_network = ipaddress.IPv4Network(settings.pod_range)
        self._claims: list[Claim] = []
        self._loopback: Claim | None = None
        self._background = Background()
        self._name_server: asyncio.DatagramTransport | None = None
        self._api: Proxy | None = None
        self._starting_host = asyncio.Lock()
        fixed = {"default/kubernetes": settings.api_cluster_ip}
        self.names = NameTable(services=services, slices=slices, domain=settings.cluster_domain, fixed=fixed)
        self.on_reset: Callable[[], None] = lambda: None

    async def start(self, *, hub: bool) -> str:
        """Lay out the network; the reason why there is no hub although one was wanted, or "".

        Args:
            hub: whether pods may have namespaces of their own.
        """
        self._loopback = self._claim(SERVICE_PREFIXES)
        reason = ""
        if hub:
            try:
                await self._start_hub()
            except SandboxError as error:
                self._hub = None
                reason = error.message
        if self._hub is None:
            self._pool = AddressPool(self._claim(POD_PREFIXES).network)
        return reason

    async def close(self) -> None:
        """End every sandbox and let go of every address."""
        await self._background.close()
        await self._close_hub_sockets()
        for launcher in (self._hub, self._host):
            if launcher is not None:
                await launcher.close()
        for claim in self._claims:
            claim.release()

    @property
    def has_hub(self) -> bool:
        """Whether pods have namespaces of their own."""
        return self._hub is not None

    @property
    def api_address(self) -> tuple[str, int]:
        """The Kubernetes API as a pod with an address of its own reaches it."""
        if self._hub is not None:
            return self._settings.api_cluster_ip, API_PORT
        return self._settings.api_host, self._settings.api_port

    def api_address_for(self, pod: Object) -> tuple[str, int]:
        """The Kubernetes API as this pod reaches it."""
        if _is_on_host(pod):
            return self._settings.api_host, self._settings.api_port
        return self.api_address

    def service_address(self, service: Object, pod: Object) -> str:
        """Where this pod reaches a Service; "" for a headless one."""
        cluster_ip = find_path(service, "spec", "clusterIP") or ""
        if cluster_ip in {"", "None"}:
            return ""
        return cluster_ip if self.has_hub and not _is_on_host(pod) else self.loopback_of(cluster_ip)

    def loopback_of(self, cluster_ip: str) -> str:
        """The address of a Service on the host's loopback."""
        if self._loopback is None:
            raise SandboxError("network is not started (Order): loopback addresses come with start()")
        return self._loopback.address_for(cluster_ip)

    async def listen_in_hub(self, kind: str, address: str, port: int) -> socket.socket:
        """A bound socket in the hub. Raises SandboxError."""
        if self._hub is None:
            raise SandboxError("there is no pod network (HostNetwork)")
        return await self._hub.listen(kind, address, port)

    async def connect(self, host: str, port: int) -> socket.socket:
        """A TCP connection to a pod, or to an address of the host. Raises OSError."""
        if self._hub is None or not _is_in(self._pod_network, host):
            return await connect_from_host(host, port)
        try:
            unconnected = await self._hub.connectable()
        except SandboxError as error:
            raise ConnectionRefusedError(error.errno or 111, error.message) from error
        return await connect_socket(unconnected, host, port)

    async def connect_endpoint(self, host: str, port: int) -> socket.socket:
        """A TCP connection to an endpoint of a Service. Raises OSError, also for one that Services must not reach."""
        declared = {(self._settings.api_host, self._settings.api_port), *self._host_ports()}
        range_ = ipaddress.IPv4Network(self._pool.network)
        reason = refuse_endpoint(host, port, pods=range_, declared=declared, is_local=is_local_address)
        if reason:
            log.warning("endpoint %s:%d of a Service is not reached: %s", host, port, reason)
            raise PermissionError(errno.EACCES, reason)
        return await self.connect(host, port)

    def _host_ports(self) -> Iterator[tuple[str, int]]:
        """Where pods on the host's network say that they listen."""
        for attached in self._pods.values():
            if _is_on_host(attached.pod):
                for container in find_path(attached.pod, "spec", "containers") or []:
                    for port in container.get("ports") or []:
                        yield HOST_IP, int(port.get("containerPort") or 0)

    async def attach(self, pod: Object, directory: Path) -> AttachedPod:
        """Give a pod its address, namespace and files, or nothing at all. Raises SandboxError, OSError."""
        uid = uid_of(pod)
        if _is_on_host(pod):
            attached = await self._attach_to_host(pod, HOST_IP, directory)
        elif self._hub is None:
            address = self._pool.take(find_path(pod, "status", "podIP") or "")
            attached = await self._attach_to_host(pod, address, directory)
        else:
            address = self._pool.take(find_path(pod, "status", "podIP") or "")
            attached = AttachedPod(
                pod=pod, address=address, launcher=self._hub, namespace=uid, directory=directory, network=self
            )
        try:
            if attached.namespace:
                await attached.launcher.add_pod(uid, attached.address)
            self._write_files(attached)
        except BaseException:
            # A namespace that stayed would keep this address, and the next try gets another one.
            await self._let_go(attached)
            raise
        self._pods[uid] = attached
        return attached

    async def detach(self, pod: Object) -> None:
        """Take a pod's address back."""
        attached = self._pods.pop(uid_of(pod), None)
        if attached is not None:
            await self._let_go(attached)

    def names_changed(self) -> None:
        """Services or endpoints changed: where `/etc/hosts` is all the naming there is, write it anew."""
        for attached in self._pods.values():
            if not attached.namespace:
                self._write_hosts(attached)

    async def _let_go(self, attached: AttachedPod) -> None:
        self._pool.give_back(attached.address)
        if attached.namespace:
            await attached.launcher.forget_pod(attached.namespace)

    async def _attach_to_host(self, pod: Object, address: str, directory: Path) -> AttachedPod:
        async with self._starting_host:
            if self._host is None:
                launcher = Launcher(on_lost=self._host_lost)
                await launcher.start()
                self._host = launcher
        return AttachedPod(
            pod=pod, address=address, launcher=self._host, namespace="", directory=directory, network=self
        )

    def _write_files(self, attached: AttachedPod) -> None:
        etc = attached.directory / "etc"
        etc.mkdir(parents=True, exist_ok=True)
        self._write_hosts(attached)
        host_content = HOST_RESOLV_CONF.read_text() if HOST_RESOLV_CONF.exists() else ""
        nameserver = self._settings.dns_cluster_ip if attached.namespace else ""
        content = format_resolv_conf(
            attached.pod, nameserver=nameserver, domain=self._settings.cluster_domain, host_content=host_content
        )
        (etc / "resolv.conf").write_text(content)
        (etc / "hostname").write_text(f"{name_of(attached.pod)}\n")
        # glibc shows only the first of several addresses of a name in /etc/hosts unless it is told otherwise.
        (etc / "host.conf").write_text("multi on\n")
        attached.mounts = [Mount(str(etc / name), f"/etc/{name}") for name in ETC_FILES]

    def _write_hosts(self, attached: AttachedPod) -> None:
        extra: list[tuple[str, list[str]]] = []
        if not attached.namespace:
            extra = self._service_entries(namespace_of(attached.pod))
        text = format_hosts(attached.pod, attached.address, domain=self._settings.cluster_domain, extra=extra)
        path = attached.directory / "etc" / "hosts"
        # In place: the running container has this very file mounted, and a new one would not show.
        if not path.exists() or path.read_text() != text:
            path.write_text(text)

    def _service_entries(self, namespace: str) -> list[tuple[str, list[str]]]:
        found = []
        for service in self._services():
            owner, name = namespace_of(service), name_of(service)
            cluster_ip = find_path(service, "spec", "clusterIP") or ""
            if cluster_ip in {"", "None"}:
                found.append((owner, name, self.names.addresses(owner, name) or []))
            else:
                found.append((owner, name, [self.loopback_of(cluster_ip)]))
        hosts = [(owner, f"{host}.{service}", [address]) for owner, service, host, address in self.names.hosts()]
        domain = self._settings.cluster_domain
        return service_entries([*found, *hosts], namespace=namespace, domain=domain)

    async def _start_hub(self) -> None:
        service_range = ipaddress.IPv4Network(self._settings.service_range)
        network = HubNetwork(self._settings.gateway, str(service_range.network_address), service_range.prefixlen)
        hub = self._hub or Launcher(network, on_lost=self._hub_lost)
        await hub.start()
        self._hub = hub
        await self._open_hub_sockets(hub)

    async def _open_hub_sockets(self, hub: Launcher) -> None:
        names = await hub.listen("udp", self._settings.dns_cluster_ip, DNS_PORT)
        loop = asyncio.get_running_loop()
        self._name_server, _ = await loop.create_datagram_endpoint(lambda: NameServer(self.names.resolve), sock=names)
        listening = await hub.listen("tcp", self._settings.api_cluster_ip, API_PORT)
        backends = [(self._settings.api_host, self._settings.api_port)]
        self._api = Proxy(listening, backends=lambda: backends, connect=connect_from_host)
        await self._api.start()

    async def _close_hub_sockets(self) -> None:
        if self._name_server is not None:
            self._name_server.close()
            self._name_server = None
        if self._api is not None:
            await self._api.close()
            self._api = None

    def _hub_lost(self) -> None:
        log.error("the broker of the pod network is gone; every pod starts again")
        self._background.run_once("pod network", self._recover)

    def _host_lost(self) -> None:
        log.error("the broker of the host network is gone; its pods start again")
        self._background.run_once("host broker", self._recover_host)

    async def _recover(self) -> None:
        await self._close_hub_sockets()
        await _retry(self._start_hub)
        for uid, attached in list(self._pods.items()):
            if attached.namespace:
                with contextlib.suppress(SandboxError):
                    await attached.launcher.add_pod(uid, attached.address)
        self.on_reset()

    async def _recover_host(self) -> None:
        if self._host is not None:
            await _retry(self._host.start)

    def _claim(self, prefixes: Iterable[int]) -> Claim:
        claim = claim_prefix(prefixes)
        self._claims.append(claim)
        return claim


async def _retry(step: Callable[[], Awaitable[None]]) -> None:
    failures = 0
    while True:
        try:
            await step()
        except SandboxError as error:
            failures += 1
            log.warning("a broker could not be started again: %s", error)
            await asyncio.sleep(_RECOVERY.delay(failures))
        else:
            return


def _is_on_host(pod: Object) -> bool:
    return bool(find_path(pod, "spec", "hostNetwork"))


def _is_in(network: ipaddress.IPv4Network, address: str) -> bool:
    try:
        return ipaddress.IPv4Address(address) in network
    except ValueError:
        return False
