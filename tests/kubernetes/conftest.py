"""Fixtures of the suites that need a control plane of our own, not only some cluster."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kubernetes.build import NotBuildableError, ensure_built
from kubernetes.control_plane import ControlPlane, running_control_plane
from kubernetes.node.confinement import NodeNotRunnableError, require_runnable
from kubernetes.node.running import Node, running_node
from towpath.kubeclient.kubeconfig import Target
from towpath.kubeclient.target import load_target


@pytest.fixture(scope="session")
def control_plane_binary() -> Path:
    """The binary with all components."""
    try:
        return ensure_built()
    except NotBuildableError as error:
        pytest.skip(f"NOT RUN: needs a control plane of its own: {error}")


@pytest.fixture
def own_control_plane(control_plane_binary: Path, tmp_path: Path) -> Iterator[ControlPlane]:
    """A control plane of the test's own, which it may break; without controllers."""
    del control_plane_binary
    with running_control_plane(tmp_path, controllers=False) as plane:
        yield plane


@pytest.fixture(scope="session")
def api_alone(control_plane_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """etcd and kube-apiserver without controllers: whatever changes there, the test has changed."""
    del control_plane_binary
    with running_control_plane(tmp_path_factory.mktemp("api-alone"), controllers=False) as plane:
        yield load_target(plane.kubeconfig, environ={})


@pytest.fixture(scope="session")
def node(control_plane_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A real node that is Ready, in a control plane of its own with all controllers: pods really run.

    `node.plane.kubeconfig` is the administrator's; `node.plane.write_kubeconfig` makes others. Images are pulled from
    any registry on this machine's loopback under the address that a reference names (`127.0.0.1:5000/lab/app:v1`),
    over plain HTTP; `node.trust(host, url)` leads another name there. Pods have addresses that this machine reaches;
    there is no kube-proxy and no DNS, so nothing answers at a Service's name or cluster IP: use `kubectl port-forward`,
    or the pods' addresses. `kubectl logs` and `exec` work. `node.log("kubelet")` says what went wrong.
    """
    del control_plane_binary
    try:
        require_runnable()
    except NodeNotRunnableError as error:
        pytest.skip(f"NOT RUN: needs a node of its own: {error}")
    with (
        running_control_plane(tmp_path_factory.mktemp("node-plane")) as plane,
        running_node(plane, tmp_path_factory.mktemp("node")) as running,
    ):
        yield running
