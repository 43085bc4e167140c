"""A real node in a real control plane, for the tests: `with running_node(plane, directory) as node`.

containerd and kubelet run as root in namespaces of their own (`confinement`, `supervisor`), but for the network: a
registry on this machine's loopback is the one that pods name, and pods are reached from here. kubelet joins with a
client certificate of `system:node:<name>`, so the Node authorizer decides what it may see; its own certificate is
signed by the same authority, so `kubectl logs` and `exec` work through the API server.
"""

import contextlib
import ipaddress
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kubernetes.build import ensure_pause_built
from kubernetes.control_plane import ControlPlane, free_ports
from kubernetes.node.confinement import (
    Confinement,
    NodeError,
    make_groups,
    require_runnable,
    sweep_groups,
)
from kubernetes.node.pause import write_pause_archive
from kubernetes.node.settings import PAUSE_IMAGE, RUNTIME_SOCKET, Settings

START_SECONDS = 180.0
NODE_NAME = "node-1"


@dataclass
class Node:
    """A node that runs pods."""

    name: str
    directory: Path
    address: str
    plane: ControlPlane
    confinement: Confinement
    kubelet_flags: list[str]
    start_seconds: float = 0.0

    def ctr(self, *arguments: str) -> str:
        """What `ctr` prints about the images and containers of pods. Raises NodeError."""
        argv = self.confinement.command("ctr", "--address", RUNTIME_SOCKET, "--namespace", "k8s.io", *arguments)
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise NodeError(f"ctr {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def trust(self, host: str, url: str) -> None:
        """Lead images of `host` to `url`, say `http://127.0.0.1:5000`. The loopback needs no such word."""
        directory = self.directory / "certs.d" / host
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "hosts.toml").write_text(f'server = "{url}"\n')

    def log(self, program: str) -> str:
        """What `kubelet` or `containerd` has said."""
        return (self.directory / f"{program}.log").read_text(errors="replace")

    def restart_kubelet(self) -> None:
        """End kubelet and start it again; its pods go on meanwhile."""
        self.confinement.stop("kubelet")
        self.start_kubelet()
        self.wait_until_ready()

    def start_kubelet(self) -> None:
        """Start kubelet."""
        argv = [str(self.plane.binary), "kubelet", *self.kubelet_flags]
        self.confinement.start("kubelet", argv, self.directory / "kubelet.log")

    def wait_until_ready(self) -> None:
        """Wait until pods can be scheduled to the node. Raises NodeError."""
        self._wait("kubelet", self._is_ready)

    def start_containerd(self) -> None:
        """Start containerd, and return when it answers."""
        argv = ["containerd", "--config", str(self.directory / "containerd.toml")]
        self.confinement.start("containerd", argv, self.directory / "containerd.log")
        self._wait("containerd", self._has_runtime)

    def _has_runtime(self) -> bool:
        with contextlib.suppress(NodeError):
            return "io.containerd.grpc.v1" in self.ctr("plugins", "ls", "id==cri")
        return False

    def _is_ready(self) -> bool:
        node = json.loads(self.plane.ask(f"/api/v1/nodes/{self.name}") or b"{}")
        conditions = {one["type"]: one["status"] for one in node.get("status", {}).get("conditions", [])}
        return conditions.get("Ready") == "True" and not node["spec"].get("taints")

    def _wait(self, program: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not condition():
            code = self.confinement.find_end(program)
            if code is not None:
                raise NodeError(f"{program} ended with {code}: {self.log(program)[-4000:]}")
            if time.monotonic() > deadline:
                raise NodeError(f"no {program} after {START_SECONDS:g} s: {self.log(program)[-4000:]}")
            time.sleep(0.05)


@contextlib.contextmanager
def running_node(plane: ControlPlane, directory: Path, *, name: str = NODE_NAME) -> Iterator[Node]:
    """A node that is Ready, until the block ends.

    Raises NodeNotRunnableError, NotBuildableError, NodeError.
    """
    require_runnable()
    pause = ensure_pause_built()
    began = time.monotonic()
    sweep_groups()
    directory.mkdir(exist_ok=True)
    settings = _settings(name, directory)
    flags = _write_files(settings, plane)
    confinement = _confine(settings)
    try:
        node = Node(name, directory, settings.address, plane, confinement, flags)
        node.start_containerd()
        write_pause_archive(pause, directory / "pause.tar", name=PAUSE_IMAGE)
        node.ctr("images", "import", "--snapshotter", settings.snapshotter, str(directory / "pause.tar"))
        node.start_kubelet()
        node.wait_until_ready()
        node.start_seconds = time.monotonic() - began
        yield node
    finally:
        confinement.close()
        # Hundreds of megabytes; what is left are settings and logs.
        for heavy in ("containerd", "kubelet", "var-lib"):
            shutil.rmtree(directory / heavy, ignore_errors=True)


def _settings(name: str, directory: Path) -> Settings:
    pods = _free_network()
    return Settings(
        name=name,
        directory=directory,
        pods=pods,
        address=str(pods[2]),
        port=free_ports(1)[0],
        snapshotter="overlayfs" if _has_overlay(directory) else "native",
    )


def _write_files(settings: Settings, plane: ControlPlane) -> list[str]:
    """Write what containerd and kubelet read; the flags of kubelet."""
    directory, name = settings.directory, settings.name
    for made in ("cni", "logs", "certs.d"):
        (directory / made).mkdir(exist_ok=True)
    (directory / "containerd.toml").write_text(settings.containerd())
    (directory / "cni" / "towpath.conflist").write_text(settings.network())
    (directory / "resolv.conf").write_text("nameserver 10.96.0.10\n")
    serving = plane.authority.sign(f"{name}-serving", name=f"system:node:{name}", hosts=(settings.address, name))
    kubeconfig = plane.write_kubeconfig(f"{name}-kubelet", user=f"system:node:{name}", group="system:nodes")
    config = settings.kubelet(
        authority=plane.authority.pair.certificate, certificate=serving.certificate, key=serving.key
    )
    (directory / "kubelet.yaml").write_text(config)
    return [
        f"--config={directory / 'kubelet.yaml'}",
        f"--kubeconfig={kubeconfig}",
        f"--root-dir={directory / 'kubelet'}",
        f"--hostname-override={name}",
        f"--node-ip={settings.address}",
    ]


def _confine(settings: Settings) -> Confinement:
    unique = f"{os.getpid()}-{settings.port}"
    groups = make_groups(unique)
    told = {
        "owner": os.getpid(),
        "directory": str(settings.directory),
        "cgroups": [str(group) for group in groups],
        "link": f"tpn{settings.port}",
        "address": settings.address,
    }
    path = settings.directory / "supervisor.json"
    path.write_text(json.dumps(told))
    return Confinement(path, groups, settings.directory / "supervisor.log")


def _free_network() -> ipaddress.IPv4Network:
    """256 addresses that this machine has no route to; others of this machine's tests choose others."""
    told = subprocess.run(["ip", "-json", "route"], check=True, capture_output=True, text=True).stdout
    taken = [ipaddress.ip_network(route["dst"]) for route in json.loads(told) if route["dst"] != "default"]
    begin = os.getpid() % 256
    for number in range(begin, begin + 256):
        network = ipaddress.IPv4Network(f"10.213.{number % 256}.0/24")
        if not any(isinstance(one, ipaddress.IPv4Network) and network.overlaps(one) for one in taken):
            return network
    raise NodeError("10.213.0.0/16 is in use on this machine")


def _has_overlay(directory: Path) -> bool:
    """Whether layers can be stacked here; on an overlay they cannot."""
    parts = [directory / "overlay" / part for part in ("lower", "upper", "work", "merged")]
    for part in parts:
        part.mkdir(parents=True)
    lower, upper, work, merged = parts
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    mount = ["unshare", "--mount", "mount", "-t", "overlay", "-o", options, "overlay", str(merged)]
    done = subprocess.run(mount, capture_output=True, check=False)
    shutil.rmtree(directory / "overlay")
    return done.returncode == 0
