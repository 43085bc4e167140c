"""Rollouts as the real kubectl drives and sees them: history, undo, pause, restart, jobs, fleets."""

import pytest

from fakes.api_server import ApiServer
from fakes.kubectl import Kubectl
from fakes.kubelet import Kubelet
from towpath.kube.objects import GVK, Object

POD = GVK("", "v1", "Pod")
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
      - {name: web, image: "registry.local/web:1"}
"""
FLEET = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: sensor}
spec:
  serviceName: sensor
  replicas: 2
  selector:
    matchLabels: {app: sensor}
  template:
    metadata:
      labels: {app: sensor}
    spec:
      containers:
      - {name: sensor, image: "registry.local/sensor:1"}
"""
JOB = """
apiVersion: batch/v1
kind: Job
metadata: {name: backup}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
      - {name: backup, image: "registry.local/backup:1"}
"""


async def rolled_out(kubectl: Kubectl, manifest: str, target: str) -> None:
    await kubectl("apply", "-f", "-", stdin=manifest)
    await kubectl("rollout", "status", target, "--timeout=120s")


async def images(kubectl: Kubectl) -> list[str]:
    pods: list[Object] = (await kubectl.json("get", "pods"))["items"]
    return sorted(pod["spec"]["containers"][0]["image"].removeprefix("registry.local/") for pod in pods)


@pytest.mark.usefixtures("kubelet")
@pytest.mark.parametrize(
    ("manifest", "target", "container"),
    [(DEPLOYMENT, "deployment/web", "web"), (FLEET, "statefulset/sensor", "sensor")],
    ids=["deployment", "statefulset"],
)
async def test_history_is_told_and_undone(kubectl: Kubectl, manifest: str, target: str, container: str) -> None:
    await rolled_out(kubectl, manifest, target)
    await kubectl("set", "image", target, f"{container}=registry.local/{container}:2")
    await kubectl("rollout", "status", target, "--timeout=120s")
    assert await images(kubectl) == [f"{container}:2"] * 2

    history = (await kubectl("rollout", "history", target)).out.splitlines()
    assert [line.split()[0] for line in history if line[:1].isdigit()] == ["1", "2"]

    await kubectl("rollout", "undo", target)
    await kubectl("rollout", "status", target, "--timeout=120s")
    assert await images(kubectl) == [f"{container}:1"] * 2


@pytest.mark.usefixtures("kubelet")
async def test_a_paused_rollout_waits_for_resume(kubectl: Kubectl) -> None:
    await rolled_out(kubectl, DEPLOYMENT, "deployment/web")
    await kubectl("rollout", "pause", "deployment/web")
    await kubectl("set", "image", "deployment/web", "web=registry.local/web:2")
    await kubectl("wait", "deployment/web", "--for=jsonpath={.status.observedGeneration}=3", "--timeout=120s")
    assert await images(kubectl) == ["web:1"] * 2

    await kubectl("rollout", "resume", "deployment/web")
    await kubectl("rollout", "status", "deployment/web", "--timeout=120s")
    assert await images(kubectl) == ["web:2"] * 2


@pytest.mark.usefixtures("kubelet")
async def test_a_restart_replaces_every_pod(kubectl: Kubectl) -> None:
    await rolled_out(kubectl, FLEET, "statefulset/sensor")
    before = {pod["metadata"]["uid"] for pod in (await kubectl.json("get", "pods"))["items"]}
    await kubectl("rollout", "restart", "statefulset/sensor")
    await kubectl("rollout", "status", "statefulset/sensor", "--timeout=120s")
    after = {pod["metadata"]["uid"] for pod in (await kubectl.json("get", "pods"))["items"]}
    assert len(after) == 2
    assert not before & after


async def test_a_stuck_rollout_is_reported_as_such(kubectl: Kubectl, kubelet: Kubelet) -> None:
    kubelet.broken.add("registry.local/web:2")
    await rolled_out(
        kubectl, DEPLOYMENT.replace("spec:\n  rep", "spec:\n  progressDeadlineSeconds: 1\n  rep"), "deploy/web"
    )
    await kubectl("set", "image", "deployment/web", "web=registry.local/web:2")
    stuck = await kubectl("rollout", "status", "deployment/web", "--timeout=120s", check=False)
    assert stuck.code == 1
    assert 'deployment "web" exceeded its progress deadline' in stuck.err


async def test_waiting_for_a_job_ends_with_it(kubectl: Kubectl, server: ApiServer, kubelet: Kubelet) -> None:
    await kubectl("apply", "-f", "-", stdin=JOB)
    await kubectl("wait", "job/backup", "--for=jsonpath={.status.ready}=1", "--timeout=120s")
    (pod,) = (await server.client.list(POD)).items
    await kubelet.finish(pod)
    await kubectl("wait", "job/backup", "--for=condition=Complete", "--timeout=120s")
    row = (await kubectl("get", "job", "backup", "--no-headers")).out.split()
    assert row[:3] == ["backup", "Complete", "1/1"]
    assert "SuccessfulCreate" in (await kubectl("describe", "job", "backup")).out
