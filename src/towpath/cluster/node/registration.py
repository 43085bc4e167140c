"""The Node object: what this machine is, what it offers, how pods are kept apart on it.

Written at start and never again while nothing changes: there is one node, in the API server's own process, so a
heartbeat would prove nothing and wear flash.
"""

import os
import platform
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from towpath.aio.clock import format_rfc3339
from towpath.cluster.node.sandbox.isolation import Isolation, Mode, NoSandboxError
from towpath.kube.objects import Object, find_path
from towpath.oci.platform import Platform

ISOLATION_ANNOTATION = "towpath.dev/isolation"
LIMITS_ANNOTATION = "towpath.dev/limits"
MISSING_ANNOTATION = "towpath.dev/isolation-missing"
MOST_PODS = 110  # upstream's default
KUBELET_VERSION = "v1.37.0+towpath"


def local_node_name() -> str:
    """The host's name as a node is named: lower case, letters, digits, dots and dashes."""
    name = re.sub(r"[^a-z0-9.-]+", "-", socket.gethostname().lower()).strip("-.")
    return name[:63] or "localhost"


def local_platform() -> Platform:
    """The platform images must be for."""
    return Platform.of(os="linux", machine=platform.machine())


def read_capacity(data: Path) -> dict[str, str]:
    """What the machine has."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    disk = os.statvfs(data)
    return {
        "cpu": str(os.cpu_count() or 1),
        "memory": f"{memory // 1024}Ki",
        "ephemeral-storage": f"{disk.f_frsize * disk.f_blocks // 1024}Ki",
        "pods": str(MOST_PODS),
    }


def read_node_info(isolation: Isolation) -> dict[str, str]:
    """`status.nodeInfo`."""
    return {
        "architecture": local_platform().architecture,
        "operatingSystem": "linux",
        "osImage": _os_image(),
        "kernelVersion": platform.release(),
        "containerRuntimeVersion": "bubblewrap://0" if isolation.mode is not Mode.PROCESS else "process://0",
        "kubeletVersion": KUBELET_VERSION,
        "kubeProxyVersion": "",
        "machineID": _read("/etc/machine-id"),
        "systemUUID": "",
        "bootID": _read("/proc/sys/kernel/random/boot_id"),
    }


def prepare_node(name: str, isolation: Isolation) -> Object:
    """The object without its status."""
    missing = "; ".join(f"{what}: {reason}" for what, reason in isolation.missing.items())
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": local_platform().architecture,
            },
            "annotations": {
                ISOLATION_ANNOTATION: str(isolation.mode),
                LIMITS_ANNOTATION: isolation.limits,
                MISSING_ANNOTATION: missing,
            },
        },
        "spec": {},
    }


def prepare_status(
    isolation: Isolation,
    *,
    addresses: Mapping[str, str],
    capacity: Mapping[str, str],
    node_info: Mapping[str, str],
    previous: Object | None,
    now: float,
) -> dict[str, Any]:
    """`status`; conditions that say the same keep their times (pure).

    Args:
        isolation: how pods are kept apart.
        addresses: by type (`InternalIP`, `Hostname`).
        capacity: what the machine has; all of it can be allocated.
        node_info: from `read_node_info`.
        previous: the Node object as it is.
        now: epoch seconds.
    """
    known = {condition["type"]: condition for condition in find_path(previous or {}, "status", "conditions") or []}
    says = [
        _readiness(isolation),
        _wall("SandboxMissing", isolation.mode in {Mode.NONE, Mode.PROCESS}, isolation.missing.get("sandbox", "")),
        _wall("PodNetworkMissing", isolation.mode is not Mode.POD_NETWORK, isolation.missing.get("podnetwork", "")),
        _wall("LimitsMissing", isolation.limits == "rlimit", isolation.missing.get("cgroups", "")),
    ]
    conditions = []
    for kind, status, reason, message in says:
        before = known.get(kind)
        since = before.get("lastTransitionTime") if before and before.get("status") == status else None
        conditions.append(
            {
                "type": kind,
                "status": status,
                "reason": reason,
                "message": message,
                "lastTransitionTime": since or format_rfc3339(now),
            }
        )
    return {
        "addresses": [{"type": kind, "address": address} for kind, address in addresses.items()],
        "capacity": dict(capacity),
        "allocatable": dict(capacity),
        "nodeInfo": dict(node_info),
        "conditions": conditions,
    }


def _readiness(isolation: Isolation) -> tuple[str, str, str, str]:
    try:
        isolation.require_pods()
    except NoSandboxError as error:
        return "Ready", "False", "NoSandbox", f"{error.message}; {error.hint}"
    return "Ready", "True", "KubeletReady", f"pods run as {isolation.describe()}"


def _wall(kind: str, missing: bool, reason: str) -> tuple[str, str, str, str]:
    if not missing:
        return kind, "False", "Available", "in force"
    return kind, "True", "Unavailable", reason or "switched off by the settings"


def _os_image() -> str:
    for line in _read("/etc/os-release").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return platform.system()


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
