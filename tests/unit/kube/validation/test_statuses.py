from typing import Any

import pytest

from towpath.kube.objects import Object
from towpath.kube.validation import validate_status

STARTED, ENDED = "2026-01-31T09:30:00Z", "2026-01-31T09:31:00Z"
COMPLETE = [{"type": "SuccessCriteriaMet", "status": "True"}, {"type": "Complete", "status": "True"}]
DONE = {"startTime": STARTED, "completionTime": ENDED, "conditions": COMPLETE, "succeeded": 1}


def an_object(api_version: str, kind: str, status: dict[str, Any], **spec: Any) -> Object:
    metadata = {"name": "one"} if kind == "Namespace" else {"name": "one", "namespace": "default"}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec, "status": status}


def faults(api_version: str, kind: str, before: dict[str, Any], after: dict[str, Any], **spec: Any) -> list[str]:
    old, new = (an_object(api_version, kind, status, **spec) for status in (before, after))
    return [f"{cause['field']}: {cause['message']}" for cause in validate_status(new, old=old)]


@pytest.mark.parametrize("kind", ["Deployment", "ReplicaSet", "StatefulSet"])
def test_what_a_controller_counts_is_valid(kind: str) -> None:
    status = {"observedGeneration": 2, "replicas": 3, "readyReplicas": 2, "availableReplicas": 1}
    assert faults("apps/v1", kind, {}, status) == []


@pytest.mark.parametrize("kind", ["Deployment", "ReplicaSet", "StatefulSet"])
def test_a_part_is_not_greater_than_the_whole(kind: str) -> None:
    (fault,) = faults("apps/v1", kind, {}, {"replicas": 1, "readyReplicas": 2})
    assert fault == "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas"


def test_collisions_are_not_uncounted() -> None:
    (fault,) = faults("apps/v1", "Deployment", {"collisionCount": 2}, {"collisionCount": 1})
    assert "cannot be decremented" in fault


def test_a_job_runs_and_completes() -> None:
    running = {"startTime": STARTED, "active": 1, "ready": 1}
    assert faults("batch/v1", "Job", {}, running) == []
    assert faults("batch/v1", "Job", running, DONE) == []
    assert faults("batch/v1", "Job", DONE, DONE) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"conditions": COMPLETE[:1]}, "cannot disable the terminal Complete=True condition"),
        ({"conditions": COMPLETE[1:]}, "cannot disable the SuccessCriteriaMet=True condition"),
        ({"completionTime": STARTED}, "field is immutable"),
        ({"startTime": ENDED}, "field is immutable for unsuspended job once set"),
        ({"succeeded": 0}, "cannot decrease the succeeded counter"),
        ({"active": 1}, "active>0 is invalid for finished job"),
        ({"conditions": [*COMPLETE, {"type": "Failed", "status": "True"}]}, "Complete=True and Failed=true"),
    ],
)
def test_a_finished_job_stays_so(change: dict[str, Any], fault: str) -> None:
    assert any(fault in found for found in faults("batch/v1", "Job", DONE, {**DONE, **change}))


def test_a_job_does_not_end_before_it_began() -> None:
    (fault,) = faults("batch/v1", "Job", {}, {**DONE, "startTime": ENDED, "completionTime": STARTED})
    assert "must be equal to or after `startTime`" in fault


def test_a_job_that_is_resumed_starts_anew() -> None:
    before = {"startTime": STARTED, "conditions": [{"type": "Suspended", "status": "True"}]}
    after = {"startTime": ENDED, "conditions": [{"type": "Suspended", "status": "False"}]}
    assert faults("batch/v1", "Job", before, after) == []


def test_a_container_that_is_not_to_run_again_does_not() -> None:
    ended = {"containerStatuses": [{"name": "main", "state": {"terminated": {"exitCode": 0}}}]}
    running = {"containerStatuses": [{"name": "main", "state": {"running": {}}}]}
    for policy, allowed in (("Always", True), ("OnFailure", False), ("Never", False)):
        assert (faults("v1", "Pod", ended, running, restartPolicy=policy) == []) == allowed
    ended["containerStatuses"][0]["state"] = {"terminated": {"exitCode": 1}}
    assert faults("v1", "Pod", ended, running, restartPolicy="OnFailure") == []


def test_the_class_of_service_of_a_pod_is_for_life() -> None:
    assert faults("v1", "Pod", {"qosClass": "Burstable"}, {"qosClass": "Guaranteed"})


def test_a_namespace_is_active_until_it_is_deleted() -> None:
    assert faults("v1", "Namespace", {"phase": "Active"}, {"phase": "Active"}) == []
    assert faults("v1", "Namespace", {"phase": "Active"}, {"phase": "Terminating"})


def test_only_a_load_balancer_has_ingress() -> None:
    status = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    assert faults("v1", "Service", {}, status, type="ClusterIP")
    assert faults("v1", "Service", {}, status, type="LoadBalancer") == []
