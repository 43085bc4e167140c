from typing import Any

import pytest

from towpath.aio.clock import format_rfc3339, parse_rfc3339
from towpath.cluster.node.pod.state import (
    ContainerState,
    Running,
    State,
    Terminated,
    Waiting,
    lost,
    recall,
    was_running,
)
from towpath.cluster.node.pod.status import PodFacts, compute_status, prepare_patch, qos_class
from towpath.kube.objects import Object

NOW = 1_769_851_800.0
FACTS = PodFacts(host_ip="127.0.0.1", pod_ip="10.42.0.2", started_at=NOW, networked=True)
DONE = Terminated(exit_code=0, reason="Completed")
FAILED = Terminated(exit_code=1, reason="Error")


def container(
    state: State, *, init: bool = False, ready: bool = False, last: Terminated | None = None
) -> ContainerState:
    name = "prepare" if init else "app"
    return ContainerState(name=name, image="app:v1", init=init, state=state, ready=ready, last=last)


def pod(policy: str = "Always") -> Object:
    return {"spec": {"restartPolicy": policy, "containers": [{"name": "app"}]}}


def compute(*states: ContainerState, policy: str = "Always", previous: dict[str, Any] | None = None) -> dict[str, Any]:
    return compute_status(pod(policy), states, FACTS, previous=previous or {}, now=NOW)


def condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(c for c in status["conditions"] if c["type"] == kind)
    return found


@pytest.mark.parametrize(
    ("policy", "states", "phase"),
    [
        ("Always", [container(Waiting())], "Pending"),
        ("Always", [container(Running(NOW))], "Running"),
        ("Always", [container(FAILED)], "Running"),
        ("Always", [container(Waiting("CrashLoopBackOff"), last=FAILED)], "Running"),
        ("OnFailure", [container(FAILED)], "Running"),
        ("OnFailure", [container(DONE)], "Succeeded"),
        ("Never", [container(DONE)], "Succeeded"),
        ("Never", [container(FAILED)], "Failed"),
        ("Never", [container(FAILED), container(Running(NOW))], "Running"),
        ("Never", [container(FAILED, init=True), container(Waiting())], "Failed"),
        ("Always", [container(FAILED, init=True), container(Waiting())], "Pending"),
        ("Always", [container(Running(NOW), init=True), container(Waiting())], "Pending"),
    ],
)
def test_the_phase_follows_the_containers_and_the_restart_policy(
    policy: str, states: list[ContainerState], phase: str
) -> None:
    assert compute(*states, policy=policy)["phase"] == phase


def test_a_ready_pod() -> None:
    status = compute(container(Running(NOW), ready=True))
    assert condition(status, "Ready") == {"type": "Ready", "status": "True", "lastTransitionTime": format_rfc3339(NOW)}
    assert (status["podIP"], status["podIPs"]) == ("10.42.0.2", [{"ip": "10.42.0.2"}])
    assert status["containerStatuses"][0]["state"] == {"running": {"startedAt": format_rfc3339(NOW)}}


def test_an_unready_container_is_named() -> None:
    found = condition(compute(container(Running(NOW))), "ContainersReady")
    assert (found["status"], found["reason"]) == ("False", "ContainersNotReady")
    assert found["message"] == "containers with unready status: [app]"


def test_an_unfinished_init_container_is_named() -> None:
    found = condition(compute(container(Running(NOW), init=True), container(Waiting())), "Initialized")
    assert found["message"] == "containers with incomplete status: [prepare]"
    done = compute(container(DONE, init=True, ready=True), container(Waiting()))
    assert condition(done, "Initialized")["status"] == "True"
    assert done["initContainerStatuses"][0]["ready"]


def test_a_completed_pod_is_not_ready_because_it_completed() -> None:
    assert condition(compute(container(DONE), policy="Never"), "Ready")["reason"] == "PodCompleted"


def test_a_condition_that_says_the_same_keeps_its_time_and_foreign_ones_stay() -> None:
    old = "2020-01-01T00:00:00Z"
    previous = {
        "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": old},
            {"type": "Initialized", "status": "False", "lastTransitionTime": old},
            {"type": "example.org/gate", "status": "True"},
        ]
    }
    status = compute(container(Running(NOW), ready=True), previous=previous)
    assert condition(status, "Ready")["lastTransitionTime"] == old
    assert condition(status, "Initialized")["lastTransitionTime"] == format_rfc3339(NOW)
    assert condition(status, "example.org/gate") == {"type": "example.org/gate", "status": "True"}


def test_only_what_changed_is_written_and_nothing_for_nothing() -> None:
    before = compute(container(Running(NOW)))
    assert prepare_patch(before, before) == {}
    after = compute(container(Running(NOW), ready=True), previous=before)
    assert set(prepare_patch(before, after)) == {"conditions", "containerStatuses"}
    assert prepare_patch({"message": "old", "nominatedNodeName": "n"}, {}) == {"message": None}


@pytest.mark.parametrize(
    ("resources", "quality"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}, "Burstable"),
    ],
)
def test_the_quality_class_follows_the_resources(resources: dict[str, Any], quality: str) -> None:
    assert qos_class({"spec": {"containers": [{"name": "app", "resources": resources}]}}) == quality


def test_what_a_status_says_is_recalled() -> None:
    ended = Terminated(
        exit_code=3, reason="Error", message="m", started_at=NOW, finished_at=NOW + 1, container_id="towpath://1"
    )
    state = container(ended, last=FAILED)
    state.restart_count = 4
    again = recall({"name": "app", "image": "app:v1"}, state.status(), init=False, parse_time=parse_rfc3339)
    assert (again.state, again.last, again.restart_count) == (ended, FAILED, 4)


def test_a_container_that_ran_is_waiting_to_run_again_with_its_count() -> None:
    state = container(Running(NOW), last=FAILED)
    state.restart_count = 2
    status = state.status()
    assert was_running(status)
    again = recall({"name": "app"}, status, init=False, parse_time=parse_rfc3339)
    assert (again.state, again.restart_count, again.ready) == (Waiting(), 2, False)
    assert lost().reason == "ContainerStatusUnknown"


def test_a_new_container_has_no_past() -> None:
    assert recall({"name": "app", "image": "i"}, None, init=False, parse_time=parse_rfc3339).restart_count == 0


def test_a_pod_that_has_ended_or_not_begun_has_no_sandbox() -> None:
    ended = condition(compute(container(DONE), policy="Never"), "PodReadyToStartContainers")
    assert (ended["status"], ended["message"]) == ("False", "pod sandbox is not ready")
    facts = PodFacts(host_ip="127.0.0.1", started_at=NOW)
    new = condition(
        compute_status(pod(), [container(Waiting())], facts, previous={}, now=NOW), "PodReadyToStartContainers"
    )
    assert (new["reason"], new["message"]) == ("PodSandboxNotReady", "no pod sandbox exists")


@pytest.mark.parametrize(("end", "phase"), [(DONE, "Succeeded"), (FAILED, "Failed")])
def test_a_deleted_pod_ends_by_its_exit_codes_whatever_its_restart_policy(end: Terminated, phase: str) -> None:
    facts = PodFacts(host_ip="127.0.0.1", started_at=NOW, networked=True, deleted=True)
    assert compute_status(pod(), [container(end)], facts, previous={}, now=NOW)["phase"] == phase


def test_what_never_started_started_at_the_epoch() -> None:
    shown = container(Terminated(exit_code=128, reason="StartError", finished_at=NOW)).status()["state"]
    assert shown["terminated"]["startedAt"] == "1970-01-01T00:00:00Z"
