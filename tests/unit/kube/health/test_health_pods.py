"""Pods, and what workloads say about theirs."""

from typing import Any

import pytest

from towpath.kube.health import Health, assess
from towpath.kube.objects import Object

H, P, D = Health.HEALTHY, Health.PROGRESSING, Health.DEGRADED
BACK_OFF = 'Back-off pulling image "127.0.0.1:7070/p/sensor:sha-1234567"'


def pod(
    name: str = "sensor-0", phase: str = "Running", *containers: Any, policy: str = "Always", **metadata: Any
) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, **metadata},
        "spec": {"restartPolicy": policy},
        "status": {"phase": phase, "containerStatuses": list(containers)},
    }


def waiting(reason: str, message: str = "", name: str = "sensor", /, **last: Any) -> dict[str, Any]:
    status: dict[str, Any] = {"name": name, "state": {"waiting": {"reason": reason, "message": message}}}
    return {**status, "lastState": {"terminated": last}} if last else status


def running(name: str = "sensor", *, ready: bool = False, **last: Any) -> dict[str, Any]:
    status: dict[str, Any] = {"name": name, "ready": ready, "state": {"running": {}}}
    return {**status, "lastState": {"terminated": last}} if last else status


def ended(code: int, reason: str = "Error", name: str = "sensor", message: str = "") -> dict[str, Any]:
    return {"name": name, "state": {"terminated": {"exitCode": code, "reason": reason, "message": message}}}


def with_conditions(subject: Object, *conditions: dict[str, str]) -> Object:
    subject["status"]["conditions"] = list(conditions)
    return subject


READY = {"type": "Ready", "status": "True"}
UNSCHEDULABLE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}

CASES = [
    (with_conditions(pod("a", "Running", running(ready=True)), READY), H, ""),
    (pod("a", "Succeeded", ended(0, "Completed")), H, ""),
    (pod("a", "Pending"), P, "the pod has not started"),
    (pod("a", "Pending", waiting("ContainerCreating")), P, "container sensor: ContainerCreating"),
    (with_conditions(pod("a", "Pending"), UNSCHEDULABLE), P, "Unschedulable: 0/1 nodes"),
    (pod("a", "Pending", waiting("ImagePullBackOff", BACK_OFF)), D, f"ImagePullBackOff: {BACK_OFF}"),
    (pod("a", "Pending", waiting("ErrImagePull", "not found")), D, "ErrImagePull: not found"),
    (pod("a", "Pending", waiting("InvalidImageName")), D, "InvalidImageName"),
    (pod("a", "Pending", waiting("CreateContainerConfigError", 'secret "x" not found')), D, 'secret "x" not found'),
    (
        pod("a", "Running", waiting("CrashLoopBackOff", "back-off 10s", exitCode=137, reason="OOMKilled")),
        D,
        "CrashLoopBackOff: back-off 10s (last exit: exit code 137, OOMKilled)",
    ),
    (
        pod("a", "Running", waiting("CrashLoopBackOff", "", "side"), running(ready=True)),
        D,
        "container side: CrashLoopBackOff",
    ),
    (pod("a", "Running", running()), P, "container sensor is running but not ready yet"),
    (pod("a", "Running", running(exitCode=1, reason="Error", message="boom\n")), D, "restarted: exit code 1: boom"),
    (pod("a", "Running", running(), policy="Never"), P, "done when its containers end"),
    (pod("a", "Failed", ended(3), policy="Never"), D, "container sensor failed: exit code 3"),
    (pod("a", "Failed", ended(0, "Completed"), policy="Never"), D, "the pod failed"),
]


@pytest.mark.parametrize(("subject", "status", "message"), CASES)
def test_a_pod_says_what_it_waits_for_or_why_it_fails(subject: Object, status: Health, message: str) -> None:
    report = assess(subject)
    assert report.status is status
    assert message in report.message


def test_a_failed_pod_gives_its_own_reason_first() -> None:
    subject = pod("a", "Failed", ended(137))
    subject["status"] |= {"reason": "Evicted", "message": "disk"}
    assert assess(subject).message == "Evicted: disk"


def test_init_containers_speak_first() -> None:
    subject = pod("a", "Pending", waiting("PodInitializing"))
    subject["status"]["initContainerStatuses"] = [waiting("CrashLoopBackOff", "wait", "init")]
    assert assess(subject).message == "container init: CrashLoopBackOff: wait"


def stateful_set(**status: Any) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "sensor", "generation": 1},
        "spec": {"replicas": 2},
        "status": {"observedGeneration": 1, "updateRevision": "new", "currentRevision": "old", **status},
    }


def deployment(**status: Any) -> Object:
    spec = {"replicas": 1}
    full = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, **status}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "a", "generation": 1},
        "spec": spec,
        "status": full,
    }


def revision(name: str) -> dict[str, str]:
    return {"controller-revision-hash": name}


def test_a_workload_names_the_failing_pod_and_is_degraded() -> None:
    pods = [pod("sensor-1", "Pending"), pod("sensor-0", "Pending", waiting("ImagePullBackOff", BACK_OFF))]
    report = assess(stateful_set(), pods=pods)
    assert report.status is D
    assert report.message.startswith(f"pod sensor-0: ImagePullBackOff: {BACK_OFF} (waiting for rollout")


def test_a_workload_whose_pods_only_wait_is_progressing_with_their_reason() -> None:
    report = assess(stateful_set(), pods=[pod("sensor-0", "Pending", waiting("ContainerCreating"))])
    assert report.status is P
    assert report.message.startswith("pod sensor-0: container sensor: ContainerCreating (")


def test_a_restarted_pod_may_yet_get_ready() -> None:
    report = assess(deployment(), pods=[pod("a-1", "Running", running(exitCode=1, reason="Error"))])
    assert report.status is P
    assert "pod a-1: container sensor restarted: exit code 1" in report.message


def test_failing_pods_of_the_old_revision_do_not_condemn_the_new_one() -> None:
    old = pod("sensor-0", "Running", waiting("CrashLoopBackOff", "again"), labels=revision("old"))
    report = assess(stateful_set(), pods=[old])
    assert report.status is P
    assert report.message.startswith("pod sensor-0 of an older revision: CrashLoopBackOff: again")
    new = pod("sensor-0", "Running", waiting("CrashLoopBackOff", "again"), labels=revision("new"))
    assert assess(stateful_set(), pods=[new]).status is D


def test_the_newest_pods_of_a_deployment_are_those_created_last() -> None:
    old = pod("a-1", "Running", waiting("CrashLoopBackOff"), labels={"pod-template-hash": "1"}, creationTimestamp="1")
    new = pod("a-2", "Pending", waiting("ContainerCreating"), labels={"pod-template-hash": "2"}, creationTimestamp="2")
    assert assess(deployment(), pods=[old, new]).status is P
    assert assess(deployment(), pods=[old]).status is D


def test_a_working_workload_does_not_ask_its_pods() -> None:
    failing = pod("a-1", "Running", waiting("CrashLoopBackOff"))
    assert assess(deployment(availableReplicas=1), pods=[failing]).status is H


def test_a_missed_deadline_says_why() -> None:
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    report = assess(deployment(conditions=[late]), pods=[pod("a-1", "Pending", waiting("ErrImagePull", "401"))])
    assert report.message == 'Deployment "a" exceeded its progress deadline: pod a-1: ErrImagePull: 401'


def test_a_failed_job_names_the_pod() -> None:
    failed = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}
    subject = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "status": {"conditions": [failed]}}
    report = assess(subject, pods=[pod("j-x", "Failed", ended(2), policy="Never")])
    assert report.message == "BackoffLimitExceeded; pod j-x: container sensor failed: exit code 2"


def test_a_job_whose_pod_cannot_start_is_degraded() -> None:
    subject = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "status": {"active": 1}}
    assert assess(subject, pods=[pod("j-x", "Pending", waiting("ErrImagePull", "401"))]).status is D
