"""What containerd, its network plugins and kubelet are told. Text only; `running` writes and uses it.

As on machines that people run, less what this one must not suffer: nothing raises limits or lowers oom_score_adj (a
container's root may not), nothing is evicted or collected for want of disk, no address is translated.
"""

import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PAUSE_IMAGE = "towpath.test/pause:1"
PLUGINS = "/usr/lib/cni"
# In the node's own mount namespace; short, because the path of a socket may have 107 characters.
RUNTIME_SOCKET = "/run/containerd/containerd.sock"
KUBELET_LOG_LEVEL = 2


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One node: its name, where it lives, and its addresses."""

    name: str
    directory: Path
    pods: ipaddress.IPv4Network
    address: str
    port: int
    snapshotter: str

    def containerd(self) -> str:
        """Its config.toml."""
        return f"""\
version = 2
root = "{self.directory}/containerd"
state = "/run/containerd"
[grpc]
  address = "{RUNTIME_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  disable_hugetlb_controller = true
  tolerate_missing_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{PLUGINS}"
    conf_dir = "{self.directory}/cni"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{self.directory}/certs.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{self.snapshotter}"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
"""

    def network(self) -> str:
        """A network that leaves nothing behind: each pod's link ends with its network namespace."""
        address_of_pod = {
            "type": "host-local",
            "dataDir": f"{self.directory}/addresses",
            # The first addresses are the gateway's and the node's own.
            "ranges": [[{"subnet": str(self.pods), "rangeStart": str(self.pods[10]), "gateway": str(self.pods[1])}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        }
        plugins = [{"type": "ptp", "ipMasq": False, "ipam": address_of_pod}]
        return json.dumps({"cniVersion": "0.4.0", "name": "towpath", "plugins": plugins}, indent=1)

    def kubelet(self, *, authority: Path, certificate: Path, key: Path) -> str:
        """Its KubeletConfiguration."""
        document: dict[str, Any] = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.address,
            "port": self.port,
            "readOnlyPort": 0,
            "healthzPort": 0,
            "authentication": {
                "x509": {"clientCAFile": str(authority)},
                "webhook": {"enabled": True},
                "anonymous": {"enabled": False},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(certificate),
            "tlsPrivateKeyFile": str(key),
            "containerRuntimeEndpoint": f"unix://{RUNTIME_SOCKET}",
            "failCgroupV1": False,
            "cgroupDriver": "cgroupfs",
            "podLogsDir": f"{self.directory}/logs",
            "resolvConf": f"{self.directory}/resolv.conf",
            "clusterDomain": "cluster.local",
            "clusterDNS": ["10.96.0.10"],
            "failSwapOn": False,
            "registryPullQPS": 0,  # tests pull faster than five a second
            "makeIPTablesUtilChains": False,  # they would be the whole machine's
            "oomScoreAdj": 0,
            "imageGCHighThresholdPercent": 100,
            "evictionHard": dict.fromkeys(("memory.available", "nodefs.available", "imagefs.available"), "0%"),
            "shutdownGracePeriod": "0s",
            "logging": {"verbosity": KUBELET_LOG_LEVEL},
        }
        return yaml.safe_dump(document)
