"""Shared fixtures. Fakes of our ports live in `tests/fakes/`; nothing here patches our own modules."""

import os
from collections.abc import Iterator

import pytest

from towpath.kubeclient.kubeconfig import Target
from towpath.kubeclient.target import load_target


@pytest.fixture(scope="session")
def real_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A real Kubernetes: the user's, if KUBECONFIG names one, else a control plane of our own for this session."""
    from kubernetes.build import NotBuildableError
    from kubernetes.control_plane import running_control_plane

    if os.environ.get("KUBECONFIG"):
        yield load_target(environ=os.environ)
        return
    try:
        with running_control_plane(tmp_path_factory.mktemp("kubernetes")) as plane:
            yield load_target(plane.kubeconfig, environ={})
    except NotBuildableError as error:
        pytest.skip(f"NOT RUN: needs a real Kubernetes: {error}")
