"""The ReplicaSet controller, and the order in which it gives pods up."""

from typing import Any

from fakes.workloads import NAMESPACE, Workloads, template, v1, workload
from towpath.cluster.controllers.replicaset_plan import plan_replicas, victim_order
from towpath.kube.errors import ForbiddenError, InvalidError
from towpath.kube.objects import Object, find_path, name_of
from towpath.kube.requests import Propagation


def replicaset(**spec: Any) -> Object:
    return workload("ReplicaSet", **{"replicas": 2, **spec})


def loose_pod(name: str, app: str = "sensor") -> Object:
    pod = v1("Pod", name, spec=template()["spec"])
    pod["metadata"]["labels"] = {"app": app}
    return pod


async def test_it_makes_as_many_pods_as_asked_for(cluster: Workloads) -> None:
    created = await cluster.create(replicaset())
    await cluster.run()
    pods = await cluster.pods()
    assert [name_of(pod) for pod in pods] == ["sensor-00001", "sensor-00002"]
    assert {pod["metadata"]["generateName"] for pod in pods} == {"sensor-"}
    (owner,) = pods[0]["metadata"]["ownerReferences"]
    assert owner == {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": "sensor",
        "uid": created["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    assert (await cluster.fresh(created))["status"] == {
        "replicas": 2,
        "fullyLabeledReplicas": 2,
        "readyReplicas": 2,
        "availableReplicas": 2,
        "observedGeneration": 1,
    }


async def test_a_lost_pod_is_replaced_once(cluster: Workloads) -> None:
    await cluster.create(replicaset())
    await cluster.run()
    (lost, kept) = await cluster.pods()
    await cluster.delete(lost)
    await cluster.run()
    assert await cluster.pod_names() == [name_of(kept), "sensor-00003"]


async def test_a_failed_pod_is_replaced_and_left_to_be_looked_at(cluster: Workloads) -> None:
    created = await cluster.create(replicaset())
    await cluster.run()
    await cluster.kubelet.finish((await cluster.pods())[0], exit_code=1)
    await cluster.run()
    assert len(await cluster.pods()) == 3
    assert (await cluster.fresh(created))["status"]["replicas"] == 2


async def test_a_burst_of_changes_never_makes_a_pod_too_many(cluster: Workloads) -> None:
    created = await cluster.create(replicaset(replicas=20))
    for turn in range(30):
        await cluster.change(created, {"metadata": {"annotations": {"turn": str(turn)}}})
    await cluster.run()
    assert len(await cluster.messages("SuccessfulCreate")) <= 20
    assert await cluster.pod_names() == [f"sensor-{number:05}" for number in range(1, 21)]


async def test_a_matching_orphan_is_adopted_instead_of_a_new_pod(cluster: Workloads) -> None:
    await cluster.create(loose_pod("orphan"))
    created = await cluster.create(replicaset())
    await cluster.run()
    assert await cluster.pod_names() == ["orphan", "sensor-00001"]
    orphan = await cluster.fresh(loose_pod("orphan"))
    assert orphan["metadata"]["ownerReferences"][0]["uid"] == created["metadata"]["uid"]


async def test_an_orphan_that_comes_later_is_one_too_many(cluster: Workloads) -> None:
    await cluster.create(replicaset())
    await cluster.run()
    await cluster.create(loose_pod("latecomer"))
    await cluster.run()
    assert await cluster.pod_names() == ["sensor-00001", "sensor-00002"]


async def test_a_pod_that_stops_matching_is_released_and_replaced(cluster: Workloads) -> None:
    await cluster.create(replicaset())
    await cluster.run()
    (suspect, _) = await cluster.pods()
    await cluster.change(suspect, {"metadata": {"labels": {"app": "under-investigation"}}})
    await cluster.run()
    released = await cluster.fresh(suspect)
    assert not released["metadata"].get("ownerReferences")
    assert len(await cluster.pods()) == 3


async def test_a_pod_of_another_owner_is_left_alone(cluster: Workloads) -> None:
    foreign = loose_pod("foreign")
    other = await cluster.create(v1("ConfigMap", "other"))
    foreign["metadata"]["ownerReferences"] = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "other", "uid": other["metadata"]["uid"], "controller": True}
    ]
    await cluster.create(foreign)
    await cluster.create(replicaset())
    await cluster.run()
    assert len(await cluster.pods()) == 3


async def test_orphaned_pods_survive_their_set_and_are_taken_over_by_its_successor(cluster: Workloads) -> None:
    created = await cluster.create(replicaset())
    await cluster.run()
    await cluster.delete(created, propagation=Propagation.ORPHAN)
    await cluster.run()
    assert await cluster.pod_names() == ["sensor-00001", "sensor-00002"]
    await cluster.create(replicaset())
    await cluster.run()
    assert await cluster.pod_names() == ["sensor-00001", "sensor-00002"]


async def test_a_set_that_is_being_deleted_makes_no_more_pods(cluster: Workloads) -> None:
    created = await cluster.create(replicaset())
    await cluster.run()
    await cluster.delete(created, propagation=Propagation.FOREGROUND)
    await cluster.run()
    assert await cluster.pods() == []
    assert not await cluster.exists(created)


async def test_a_pod_becomes_available_only_after_its_min_ready_seconds(cluster: Workloads) -> None:
    created = await cluster.create(replicaset(minReadySeconds=30))
    await cluster.run()
    await cluster.advance(29)
    assert "availableReplicas" not in (await cluster.fresh(created))["status"]
    await cluster.advance(1)
    assert (await cluster.fresh(created))["status"]["availableReplicas"] == 2


async def test_a_refused_pod_is_a_replica_failure_until_it_succeeds(cluster: Workloads) -> None:
    cluster.refusals["Pod"] = InvalidError("no such priority class")
    created = await cluster.create(replicaset())

    async def is_reported() -> bool:
        return bool(find_path(await cluster.fresh(created), "status", "conditions"))

    await cluster.until(is_reported)
    (condition,) = (await cluster.fresh(created))["status"]["conditions"]
    assert (condition["type"], condition["reason"]) == ("ReplicaFailure", "FailedCreate")
    cluster.refusals.clear()
    await cluster.run()
    assert "conditions" not in (await cluster.fresh(created))["status"]
    assert (await cluster.messages("FailedCreate"))[0] == "Error creating: no such priority class"


async def test_a_terminating_namespace_is_no_reason_for_an_event(cluster: Workloads) -> None:
    cause = {"reason": "NamespaceTerminating", "message": "", "field": "metadata.namespace"}
    cluster.refusals["Pod"] = ForbiddenError("it is being terminated", causes=[cause])
    created = await cluster.create(replicaset())

    async def is_reported() -> bool:
        return bool(find_path(await cluster.fresh(created), "status", "conditions"))

    await cluster.until(is_reported)
    assert await cluster.messages("FailedCreate") == []


async def test_a_namespace_is_emptied_and_nothing_grows_back(cluster: Workloads) -> None:
    await cluster.create(replicaset())
    await cluster.run()
    namespace = v1("Namespace", NAMESPACE, namespace="")
    await cluster.delete(namespace)
    await cluster.run()
    assert await cluster.pods() == []
    assert not await cluster.exists(namespace)


def pod(name: str, **facts: Any) -> Object:
    """A pod in the facts that decide whether it is missed."""
    since = facts.get("ready_since")
    times = {"created": "2026-01-01T00:00:00Z", **facts}
    condition = {"type": "Ready", "status": "True" if since else "False", "lastTransitionTime": since}
    return {
        "metadata": {
            "name": name,
            "creationTimestamp": times["created"],
            "annotations": {"controller.kubernetes.io/pod-deletion-cost": facts.get("cost", "0")},
        },
        "spec": {"nodeName": facts.get("node", "n")},
        "status": {
            "phase": facts.get("phase", "Running"),
            "conditions": [condition],
            "containerStatuses": [{"restartCount": facts.get("restarts", 0)}],
        },
    }


EARLY, LATE = "2026-01-01T00:00:10Z", "2026-01-01T00:00:20Z"
MISSED_LEAST_FIRST = [
    pod("unassigned", node="", phase="Pending"),
    pod("pending", phase="Pending"),
    pod("unknown", phase="Unknown", ready_since=EARLY),
    pod("not-ready"),
    pod("cheap", ready_since=EARLY, cost="-1"),
    pod("ready-since-late", ready_since=LATE),
    pod("restarted", ready_since=EARLY, restarts=2),
    pod("young", ready_since=EARLY, created=EARLY),
    pod("old", ready_since=EARLY),
    pod("dear", ready_since=LATE, cost="5"),
]


def test_victims_are_chosen_as_upstream_chooses_them() -> None:
    by_name = sorted(MISSED_LEAST_FIRST, key=name_of)
    assert [name_of(one) for one in sorted(by_name, key=victim_order)] == [name_of(one) for one in MISSED_LEAST_FIRST]


def test_a_deletion_cost_that_is_no_number_counts_as_none() -> None:
    odd, dear = pod("odd", ready_since=EARLY, cost="cheap"), pod("dear", ready_since=EARLY, cost="1")
    assert plan_replicas({"spec": {"replicas": 1}}, [dear, odd]).delete == [odd]


def test_a_set_without_a_number_wants_one_pod() -> None:
    assert plan_replicas({"spec": {}}, []).create == 1


def test_a_huge_set_is_filled_in_bursts() -> None:
    assert plan_replicas({"spec": {"replicas": 10_000}}, []).create == 500
