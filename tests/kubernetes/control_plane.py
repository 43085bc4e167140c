"""Starts and ends the real control plane: etcd, kube-apiserver, kube-controller-manager, kube-scheduler; on loopback.

The flags are those of a cluster that people run (RBAC, client certificates, service account tokens, all controllers),
less what costs time and saves nothing here: etcd does not wait for the disk, nobody elects a leader.
"""

import contextlib
import http.client
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from kubernetes.build import ensure_built
from kubernetes.certificates import Authority, KeyPair

START_SECONDS = 120.0
STOP_SECONDS = 10.0
SERVICE_RANGE = "10.96.0.0/16"


class ControlPlaneError(Exception):
    """A component did not start; the text ends with what it last said."""


@dataclass
class Component:
    """A running program and its log."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    flags: Sequence[str]

    def require_alive(self) -> None:
        """Raises ControlPlaneError when it has ended."""
        if self.process.poll() is not None:
            said = self.log.read_text(errors="replace")[-3000:]
            raise ControlPlaneError(f"{self.name} ended with {self.process.returncode}: {said}")

    def end(self) -> None:
        """End it, kindly and then not."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass
class ControlPlane:
    """A running cluster."""

    directory: Path
    url: str
    kubeconfig: Path
    authority: Authority
    binary: Path
    start_seconds: float = 0.0
    components: list[Component] = field(default_factory=list)

    def write_kubeconfig(self, file: str, *, user: str, group: str = "") -> Path:
        """A kubeconfig with a client certificate for `user` in `group`."""
        pair = self.authority.sign(file, name=user, group=group)
        return _write_kubeconfig(self.directory / f"{file}.kubeconfig", self.url, self.authority.pair, pair)

    def run(self, name: str, flags: Sequence[str]) -> Component:
        """Start a component; the binary sees to it that it ends with this process."""
        log = self.directory / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(self.binary), name, *flags],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=self.directory,
                start_new_session=True,  # an interrupt at the keyboard is for the tests, which then end it
            )
        component = Component(name, process, log, flags)
        self.components.append(component)
        return component

    def restart(self, name: str) -> None:
        """End a component and start it again with the same flags; the API is ready when this returns."""
        component = next(one for one in self.components if one.name == name)
        component.end()
        self.components.remove(component)
        self.run(name, component.flags)
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Wait for the API. Raises ControlPlaneError."""
        _wait(self, lambda: self.ask("/readyz") is not None)

    def ask(self, path: str) -> bytes | None:
        """What the API answers an administrator; None when it does not answer, or with an error."""
        context = ssl.create_default_context(cafile=str(self.authority.pair.certificate))
        context.load_cert_chain(self.directory / "admin.crt", self.directory / "admin.key")
        port = int(self.url.rpartition(":")[2])
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=context)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
            return body if response.status == 200 else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def end(self) -> None:
        """End everything, what was started last first."""
        for component in reversed(self.components):
            component.end()
        self.components.clear()


@contextlib.contextmanager
def running_control_plane(directory: Path, *, controllers: bool = True) -> Iterator[ControlPlane]:
    """A control plane until the block ends; without controllers the API alone, where nobody writes but the test.

    Raises NotBuildableError, ControlPlaneError.
    """
    binary = ensure_built()
    began = time.monotonic()
    authority = Authority(directory)
    etcd_port, peer_port, port = free_ports(3)
    url = f"https://127.0.0.1:{port}"
    plane = ControlPlane(directory, url, directory / "admin.kubeconfig", authority, binary)
    plane.write_kubeconfig("admin", user="admin", group="system:masters")
    try:
        plane.run("etcd", _etcd_flags(directory, etcd_port, peer_port))
        plane.run("kube-apiserver", _apiserver_flags(plane, etcd_port, port))
        plane.wait_until_ready()
        if controllers:
            plane.run("kube-controller-manager", _controller_manager_flags(plane))
            plane.run("kube-scheduler", _scheduler_flags(plane))
            account = "/api/v1/namespaces/default/serviceaccounts/default"
            _wait(plane, lambda: plane.ask(account) is not None)
        plane.start_seconds = time.monotonic() - began
        yield plane
    finally:
        plane.end()


def _etcd_flags(directory: Path, port: int, peer_port: int) -> list[str]:
    client, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer_port}"
    return [
        f"--data-dir={directory / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync=true",
        "--log-level=warn",
    ]


def _apiserver_flags(plane: ControlPlane, etcd_port: int, port: int) -> list[str]:
    names = ("127.0.0.1", "localhost", "kubernetes", "kubernetes.default.svc")
    serving = plane.authority.sign("apiserver", name="kube-apiserver", hosts=names)
    kubelet = plane.authority.sign("apiserver-kubelet", name="apiserver-kubelet", group="system:masters")
    accounts = plane.authority.sign("accounts", name="accounts")
    return [
        f"--etcd-servers=http://127.0.0.1:{etcd_port}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        "--endpoint-reconciler-type=none",
        f"--secure-port={port}",
        f"--tls-cert-file={serving.certificate}",
        f"--tls-private-key-file={serving.key}",
        f"--client-ca-file={plane.authority.pair.certificate}",
        f"--kubelet-client-certificate={kubelet.certificate}",
        f"--kubelet-client-key={kubelet.key}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--kubelet-certificate-authority={plane.authority.pair.certificate}",
        f"--cert-dir={plane.directory / 'certs'}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={accounts.certificate}",
        f"--service-account-signing-key-file={accounts.key}",
        "--profiling=false",
    ]


def _controller_manager_flags(plane: ControlPlane) -> list[str]:
    name = "system:kube-controller-manager"
    return [
        f"--kubeconfig={plane.write_kubeconfig('controller-manager', user=name)}",
        f"--root-ca-file={plane.authority.pair.certificate}",
        f"--service-account-private-key-file={plane.directory / 'accounts.key'}",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--secure-port=0",
        "--profiling=false",
    ]


def _scheduler_flags(plane: ControlPlane) -> list[str]:
    kubeconfig = plane.write_kubeconfig("scheduler", user="system:kube-scheduler")
    return [f"--kubeconfig={kubeconfig}", "--leader-elect=false", "--secure-port=0", "--profiling=false"]


def _write_kubeconfig(path: Path, url: str, authority: KeyPair, user: KeyPair) -> Path:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "tests", "cluster": {"server": url, "certificate-authority": str(authority.certificate)}}
        ],
        "users": [
            {"name": "tests", "user": {"client-certificate": str(user.certificate), "client-key": str(user.key)}}
        ],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
        "current-context": "tests",
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(document))
    return path


def _wait(plane: ControlPlane, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        for component in plane.components:
            component.require_alive()
        if time.monotonic() > deadline:
            last = plane.components[-1]
            said = last.log.read_text(errors="replace")[-3000:]
            raise ControlPlaneError(f"the control plane is not ready after {START_SECONDS:g} s; {last.name}: {said}")
        time.sleep(0.05)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody listens at."""
    # Held open together, so that they differ; the components bind them a moment later.
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
