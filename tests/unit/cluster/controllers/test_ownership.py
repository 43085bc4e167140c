"""Who may own what: claims, and adoption against a cache that lags behind."""

from typing import Any

from fakes.workloads import Workloads, template, v1, workload
from towpath.cluster.controllers.adoption import claim
from towpath.cluster.controllers.ownership import plan_claims
from towpath.kube.objects import Object, name_of
from towpath.kube.requests import Propagation


def loose_pod(name: str) -> Object:
    pod = v1("Pod", name, spec=template()["spec"])
    pod["metadata"]["labels"] = {"app": "sensor"}
    return pod


def owner(**metadata: Any) -> Object:
    made = workload("ReplicaSet")
    made["metadata"].update({"uid": "u1", **metadata})
    return made


def candidate(name: str, *, app: str = "sensor", owner_uid: str = "", **metadata: Any) -> Object:
    pod = v1("Pod", name)
    pod["metadata"].update({"labels": {"app": app}, **metadata})
    if owner_uid:
        pod["metadata"]["ownerReferences"] = [{"uid": owner_uid, "controller": True}]
    return pod


CANDIDATES = [
    candidate("owned", owner_uid="u1"),
    candidate("owned-no-more", app="other", owner_uid="u1"),
    candidate("foreign", owner_uid="u2"),
    candidate("orphan"),
    candidate("dying-orphan", deletionTimestamp="2026-01-31T09:30:00Z"),
    candidate("stranger", app="other"),
]


def test_claims_are_sorted_by_owner_and_by_label() -> None:
    claims = plan_claims(owner(), CANDIDATES)
    assert [name_of(one) for one in claims.owned] == ["owned"]
    assert [name_of(one) for one in claims.to_adopt] == ["orphan"]
    assert [name_of(one) for one in claims.to_release] == ["owned-no-more"]


def test_a_terminating_owner_takes_nothing_and_lets_nothing_go() -> None:
    claims = plan_claims(owner(deletionTimestamp="2026-01-31T09:30:00Z"), CANDIDATES)
    assert [name_of(one) for one in claims.owned] == ["owned"]
    assert (claims.to_adopt, claims.to_release) == ([], [])


def test_an_empty_selector_selects_nothing() -> None:
    nobody = owner()
    nobody["spec"]["selector"] = {}
    assert plan_claims(nobody, CANDIDATES).to_adopt == []


async def test_an_owner_that_is_gone_adopts_nothing(cluster: Workloads) -> None:
    await cluster.stop_controllers()
    pod = await cluster.create(loose_pod("orphan"))
    assert await claim(cluster.client, owner(), [pod]) == []


async def test_an_owner_replaced_by_a_namesake_adopts_nothing(cluster: Workloads) -> None:
    await cluster.stop_controllers()
    pod = await cluster.create(loose_pod("orphan"))
    gone = await cluster.create(workload("ReplicaSet"))
    await cluster.delete(gone)
    await cluster.create(workload("ReplicaSet"))
    assert await claim(cluster.client, gone, [pod]) == []
    assert "ownerReferences" not in (await cluster.fresh(pod))["metadata"]


async def test_an_owner_that_is_being_deleted_behind_the_cache_adopts_nothing(cluster: Workloads) -> None:
    await cluster.stop_controllers()
    pod = await cluster.create(loose_pod("orphan"))
    cached = await cluster.create(workload("ReplicaSet"))
    held = await cluster.create(loose_pod("held"))
    reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "sensor", "uid": cached["metadata"]["uid"]}
    await cluster.change(held, {"metadata": {"finalizers": ["test/held"]}})
    await cluster.change(held, {"metadata": {"ownerReferences": [{**reference, "blockOwnerDeletion": True}]}})
    await cluster.delete(cached, propagation=Propagation.FOREGROUND)
    assert "deletionTimestamp" in (await cluster.fresh(cached))["metadata"]
    assert await claim(cluster.client, cached, [pod]) == []


async def test_an_orphan_that_is_gone_by_now_is_not_claimed(cluster: Workloads) -> None:
    await cluster.stop_controllers()
    pod = await cluster.create(loose_pod("orphan"))
    cached = await cluster.create(workload("ReplicaSet"))
    await cluster.delete(pod)
    assert await claim(cluster.client, cached, [pod]) == []
