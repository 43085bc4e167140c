"""A real node: kubelet, containerd and runc, in a control plane of the session's own."""

import subprocess

import pytest

from kubernetes.node.running import Node

pytestmark = pytest.mark.kubernetes


def kubectl(node: Node, *arguments: str) -> str:
    argv = ["kubectl", f"--kubeconfig={node.plane.kubeconfig}", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_node_is_ready(node: Node) -> None:
    assert kubectl(node, "wait", "--for=condition=Ready", f"node/{node.name}")
