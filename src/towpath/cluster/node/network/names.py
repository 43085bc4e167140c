"""What a name in the cluster's zone means (pure): Services, the pods of headless ones, pods by address.

<service>.<namespace>.svc.<domain>           its cluster IP, or the ready endpoints of a headless Service
<host>.<service>.<namespace>.svc.<domain>    one endpoint with that host name (the pods of a StatefulSet)
<a-b-c-d>.<namespace>.pod.<domain>           a.b.c.d
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from towpath.kube.objects import Object, find_path, labels_of, name_of, namespace_of

SERVICE_NAME_LABEL = "kubernetes.io/service-name"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One backend of a Service."""

    address: str
    hostname: str
    ready: bool
    ports: Mapping[str, int]  # by port name


def endpoints_of(slices: Iterable[Object]) -> list[Endpoint]:
    """The endpoints of some EndpointSlices."""
    found = []
    for entry in slices:
        ports = {str(port.get("name") or ""): int(port.get("port") or 0) for port in entry.get("ports") or []}
        for endpoint in entry.get("endpoints") or []:
            ready = (endpoint.get("conditions") or {}).get("ready")
            host = endpoint.get("hostname") or find_path(endpoint, "targetRef", "name") or ""
            addresses = endpoint.get("addresses") or []
            found += [Endpoint(address, host, ready is not False, ports) for address in addresses]
    return found


class NameTable:
    """Names by the Services and EndpointSlices of the moment."""

    def __init__(
        self,
        *,
        services: Callable[[], Iterable[Object]],
        slices: Callable[[], Iterable[Object]],
        domain: str,
        fixed: Mapping[str, str],
    ) -> None:
        """Remember the sources.

        Args:
            services: all Services.
            slices: all EndpointSlices.
            domain: of the cluster.
            fixed: further Services as `namespace/name` -> address; a real Service of that name wins.
        """
        self._services = services
        self._slices = slices
        self._domain = domain.lower()
        self._fixed = fixed

    def resolve(self, name: str) -> list[str] | None:
        """The addresses of a full name; None if it does not exist. An existing name may have none."""
        labels = name.lower().rstrip(".").removesuffix(f".{self._domain}").split(".")
        if not self.is_inside(name):
            return None
        if len(labels) == 3 and labels[2] == "pod":
            return _parse_dashed(labels[0])
        if len(labels) < 3 or labels[-1] != "svc":
            return [] if labels in (["svc"], ["pod"]) else None
        service, namespace = labels[-3], labels[-2]
        addresses = self.addresses(namespace, service)
        if addresses is None or len(labels) == 3:
            return addresses
        return self._resolve_host(namespace, service, ".".join(labels[:-3])) or None

    def is_inside(self, name: str) -> bool:
        """Whether a name is of the cluster's zone."""
        return name.lower().rstrip(".").endswith(f".{self._domain}")

    def addresses(self, namespace: str, service: str) -> list[str] | None:
        """The addresses of a Service; None if it does not exist."""
        found = next(
            (obj for obj in self._services() if name_of(obj) == service and namespace_of(obj) == namespace), None
        )
        if found is None:
            fixed = self._fixed.get(f"{namespace}/{service}")
            return [fixed] if fixed else None
        cluster_ip = find_path(found, "spec", "clusterIP") or ""
        if cluster_ip and cluster_ip != "None":
            return [cluster_ip]
        every = bool(find_path(found, "spec", "publishNotReadyAddresses"))
        return [e.address for e in self._endpoints(namespace, service) if e.ready or every]

    def hosts(self) -> Iterator[tuple[str, str, str, str]]:
        """Every endpoint with a host name, as (namespace, service, host, address)."""
        for entry in self._slices():
            service = labels_of(entry).get(SERVICE_NAME_LABEL, "")
            for endpoint in endpoints_of([entry]):
                if endpoint.hostname:
                    yield namespace_of(entry), service, endpoint.hostname, endpoint.address

    def _resolve_host(self, namespace: str, service: str, host: str) -> list[str]:
        return [e.address for e in self._endpoints(namespace, service) if e.hostname == host]

    def _endpoints(self, namespace: str, service: str) -> list[Endpoint]:
        return endpoints_of(
            entry
            for entry in self._slices()
            if namespace_of(entry) == namespace and labels_of(entry).get(SERVICE_NAME_LABEL) == service
        )


def _parse_dashed(label: str) -> list[str] | None:
    parts = label.split("-")
    if len(parts) == 4 and all(part.isdecimal() and int(part) < 256 for part in parts):
        return [".".join(parts)]
    return None
