"""A real node: that it runs pods, that it survives its parts, and that nothing of it stays.

What a pod's status, log and events say is compared with the embedded node in `tests/contract/node`.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from fakes.foreign import not_run
from fakes.kubectl import Kubectl
from kubernetes.node.confinement import (
    CGROUPS,
    GROUP_PREFIX,
    Confinement,
    NodeError,
    NodeNotRunnableError,
    make_groups,
    require_runnable,
    sweep_groups,
)
from kubernetes.node.running import Node
from kubernetes.node.settings import PAUSE_IMAGE

pytestmark = pytest.mark.kubernetes
PATIENCE_SECONDS = 180.0

HOLD = """
import sys, time
from pathlib import Path
from kubernetes.control_plane import running_control_plane
from kubernetes.node.running import running_node

directory = Path(sys.argv[1])
(directory / "plane").mkdir()
with running_control_plane(directory / "plane") as plane, running_node(plane, directory / "node") as node:
    print(node.address, flush=True)
    time.sleep(3600)
"""


@pytest.fixture
def kubectl(node: Node) -> Kubectl:
    return Kubectl(node.plane.kubeconfig)


@pytest.fixture
async def pod(kubectl: Kubectl) -> AsyncIterator[str]:
    """A pod of the sandbox's own image, which needs no registry; placed by the scheduler."""
    name = "still"
    await kubectl("run", name, f"--image={PAUSE_IMAGE}", "--image-pull-policy=Never", "--restart=Always")
    await kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=180s")
    yield name
    await kubectl("delete", "pod", name, "--now", "--wait")


async def test_the_node_registers_with_the_rights_of_a_node(kubectl: Kubectl, node: Node) -> None:
    described = json.loads((await kubectl("get", "node", node.name, "-o", "json")).out)
    assert described["status"]["nodeInfo"]["kubeletVersion"].startswith("v1.37.")
    assert described["status"]["nodeInfo"]["containerRuntimeVersion"].startswith("containerd://")
    assert {"type": "InternalIP", "address": node.address} in described["status"]["addresses"]
    kubelet = Kubectl(node.plane.directory / f"{node.name}-kubelet.kubeconfig")
    assert (
        await kubelet("auth", "can-i", "update", f"nodes/{node.name}", "--subresource=status", check=False)
    ).code == 0
    refused = await kubelet("get", "secrets", "-A", check=False)
    assert "can only read namespaced object of this type" in refused.err or "is forbidden" in refused.err


async def test_a_deployment_is_scheduled_and_rolled_out(kubectl: Kubectl, node: Node) -> None:
    template = {
        "metadata": {"labels": {"app": "still"}},
        "spec": {"containers": [{"name": "app", "image": PAUSE_IMAGE, "imagePullPolicy": "Never"}]},
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "still"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "still"}}, "template": template},
    }
    await kubectl("apply", "-f", "-", stdin=json.dumps(deployment))
    assert "successfully rolled out" in (await kubectl("rollout", "status", "deployment/still", "--timeout=180s")).out
    names = (await kubectl("get", "pods", "-l", "app=still", "-o", "jsonpath={.items[*].spec.nodeName}")).out.split()
    assert names == [node.name, node.name]
    await kubectl("delete", "deployment", "still", "--cascade=foreground", "--wait")


async def test_the_api_server_reaches_the_kubelet_for_exec(kubectl: Kubectl, pod: str) -> None:
    # The image has one file; that its own words come back proves the way there.
    refused = await kubectl("exec", pod, "--", "/absent", check=False)
    assert 'exec: "/absent": stat /absent: no such file or directory' in refused.err


async def test_the_api_server_reaches_the_kubelet_for_logs(kubectl: Kubectl, pod: str) -> None:
    assert (await kubectl("logs", pod)).out == ""


async def test_pods_outlive_a_restart_of_kubelet(kubectl: Kubectl, pod: str, node: Node) -> None:
    def started() -> list[str]:
        return ["get", "pod", pod, "-o", "jsonpath={.status.containerStatuses[0].containerID}"]

    before = (await kubectl(*started())).out
    await asyncio.to_thread(node.restart_kubelet)
    await kubectl("wait", "--for=condition=Ready", f"pod/{pod}", "--timeout=180s")
    assert (await kubectl(*started())).out == before


def test_a_killed_test_run_leaves_no_process_no_address_and_no_group(
    control_plane_binary: Path, tmp_path: Path
) -> None:
    del control_plane_binary
    try:
        require_runnable()
    except NodeNotRunnableError as error:
        not_run(f"needs a node of its own: {error}")
    path = os.pathsep.join(entry for entry in sys.path if entry)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdout is not None
        address = run.stdout.readline().strip()
        assert address in addresses()
        assert processes(tmp_path)
        run.send_signal(signal.SIGKILL)
    wait_until(lambda: not processes(tmp_path))
    wait_until(lambda: address not in addresses())
    wait_until(lambda: not left_groups(run.pid))
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


def test_a_node_that_cannot_be_made_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    try:
        require_runnable()
    except NodeNotRunnableError as error:
        not_run(f"needs a node of its own: {error}")
    groups = make_groups(f"{os.getpid()}-broken")
    settings = tmp_path / "settings.json"
    told = {"owner": os.getpid(), "directory": str(tmp_path), "link": "tpn-broken", "address": "no-address"}
    settings.write_text(json.dumps({**told, "cgroups": [str(group) for group in groups]}))
    with pytest.raises(NodeError, match='any valid prefix is expected rather than "no-address/32"'):
        Confinement(settings, groups, tmp_path / "log")
    assert not any(group.exists() for group in groups)
    assert "tpn-broken" not in addresses()


def addresses() -> str:
    return subprocess.run(["ip", "address"], check=True, capture_output=True, text=True).stdout


def processes(directory: Path) -> list[str]:
    """The command lines that name a directory, this process's children excepted."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            command = path.read_bytes().decode(errors="replace")
            if str(directory) in command and "running_node" not in command:
                found.append(command)
    return found


def left_groups(owner: int) -> list[Path]:
    """The control groups of a run that the next run's sweep leaves."""
    sweep_groups()
    return list(CGROUPS.glob(f"**/{GROUP_PREFIX}{owner}-*"))


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
