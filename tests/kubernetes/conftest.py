"""Fixtures of the suites that need a control plane of our own, not only some cluster."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kubernetes.control_plane import ControlPlane, running_control_plane
from towpath.kubeclient.kubeconfig import Target
from towpath.kubeclient.target import load_target


@pytest.fixture
def own_control_plane(control_plane_binary: Path, tmp_path: Path) -> Iterator[ControlPlane]:
    """A control plane of the test's own, which it may break; without controllers."""
    del control_plane_binary
    with running_control_plane(tmp_path, controllers=False) as plane:
        yield plane


@pytest.fixture(scope="session")
def shared_control_plane(
    control_plane_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """etcd and kube-apiserver without controllers, for all tests: whatever changes there, a test has changed."""
    del control_plane_binary
    with running_control_plane(tmp_path_factory.mktemp("api-alone"), controllers=False) as plane:
        yield plane


@pytest.fixture
def api_alone(shared_control_plane: ControlPlane) -> Target:
    """The shared control plane as its administrator reaches it."""
    return load_target(shared_control_plane.kubeconfig, environ={})
