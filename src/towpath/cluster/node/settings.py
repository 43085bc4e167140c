"""What the owner of a node may choose."""

import ipaddress
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """Defaults suit one platform on one machine; several on one machine do not disturb each other."""

    node_name: str = ""  # "" for the host's name
    api_host: str = "127.0.0.1"  # the Kubernetes façade, as the host reaches it
    api_port: int = 7443
    pod_range: str = "10.42.0.0/16"  # k3s's
    service_range: str = "10.43.0.0/16"  # k3s's; the kernel hands out of the same
    cluster_domain: str = "cluster.local"
    isolation: str = (
        ""  # "sandbox+hostnetwork", "process" or "none": less than the machine offers, see `isolation.Mode`
    )
    overlay: bool = True  # False: every container gets a copy of its image, even where file systems can be stacked
    stop_grace_seconds: float = 3.0  # for pods when the platform itself ends

    @property
    def gateway(self) -> str:
        """The hub's address in the pod network."""
        return str(ipaddress.IPv4Network(self.pod_range)[1])

    @property
    def api_cluster_ip(self) -> str:
        """The cluster IP of Service `kubernetes`: the first of the range."""
        return str(ipaddress.IPv4Network(self.service_range)[1])

    @property
    def dns_cluster_ip(self) -> str:
        """The name server's cluster IP: the tenth of the range."""
        return str(ipaddress.IPv4Network(self.service_range)[10])
