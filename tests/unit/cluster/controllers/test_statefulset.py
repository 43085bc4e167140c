"""The StatefulSet controller, played with a pretend kubelet."""

from typing import Any

from fakes.workloads import Workloads, images, workload
from towpath.kube.objects import GVK, Object, name_of
from towpath.kube.requests import Propagation

REVISION = GVK("apps", "v1", "ControllerRevision")


def fleet(**spec: Any) -> Object:
    return workload("StatefulSet", **{"replicas": 3, "serviceName": "sensors", **spec})


async def rolled_out(cluster: Workloads, **spec: Any) -> Object:
    created = await cluster.create(fleet(**spec))
    await cluster.run()
    return created


async def set_image(cluster: Workloads, obj: Object, image: str) -> Object:
    containers = [{"name": "main", "image": image}]
    return await cluster.change(obj, {"spec": {"template": {"spec": {"containers": containers}}}})


async def pod(cluster: Workloads, name: str) -> Object:
    return next(one for one in await cluster.pods() if name_of(one) == name)


async def deleted_in_order(cluster: Workloads) -> list[str]:
    prefix, suffix = "delete Pod ", " in StatefulSet sensor successful"
    return [text.removeprefix(prefix).removesuffix(suffix) for text in await cluster.messages("SuccessfulDelete")]


async def test_pods_come_one_after_the_other_each_when_the_one_before_is_ready(cluster: Workloads) -> None:
    await cluster.create(fleet())
    await cluster.settle()
    for expected in (["sensor-0"], ["sensor-0", "sensor-1"], ["sensor-0", "sensor-1", "sensor-2"]):
        assert await cluster.pod_names() == expected
        await cluster.settle()
        assert await cluster.pod_names() == expected
        await cluster.kubelet.step()
        await cluster.settle()


async def test_parallel_pods_come_all_at_once(cluster: Workloads) -> None:
    await cluster.create(fleet(podManagementPolicy="Parallel"))
    await cluster.settle()
    assert await cluster.pod_names() == ["sensor-0", "sensor-1", "sensor-2"]


async def test_a_pod_knows_its_name_its_number_and_its_revision(cluster: Workloads) -> None:
    created = await rolled_out(cluster)
    (revision,) = await cluster.all(REVISION)
    second = await pod(cluster, "sensor-1")
    assert second["metadata"]["labels"] == {
        "app": "sensor",
        "statefulset.kubernetes.io/pod-name": "sensor-1",
        "apps.kubernetes.io/pod-index": "1",
        "controller-revision-hash": name_of(revision),
    }
    assert (second["spec"]["hostname"], second["spec"]["subdomain"]) == ("sensor-1", "sensors")
    assert (await cluster.fresh(created))["status"] == {
        "observedGeneration": 1,
        "replicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
        "currentReplicas": 3,
        "updatedReplicas": 3,
        "currentRevision": name_of(revision),
        "updateRevision": name_of(revision),
    }


async def test_an_update_goes_from_the_highest_ordinal_and_waits_for_readiness(cluster: Workloads) -> None:
    created = await rolled_out(cluster)
    await set_image(cluster, created, "sensor:2")
    await cluster.settle()
    assert await deleted_in_order(cluster) == ["sensor-2"]
    await cluster.kubelet.step()  # the old pod ends
    await cluster.settle()
    assert images([await pod(cluster, "sensor-2")]) == ["sensor:2"]
    assert await deleted_in_order(cluster) == ["sensor-2"]  # not ready yet: nothing else moves
    await cluster.run()
    assert await deleted_in_order(cluster) == ["sensor-2", "sensor-1", "sensor-0"]
    assert images(await cluster.pods()) == ["sensor:2"] * 3


async def test_the_status_names_both_revisions_until_the_update_is_complete(cluster: Workloads) -> None:
    created = await rolled_out(cluster)
    before = (await cluster.fresh(created))["status"]["currentRevision"]
    await set_image(cluster, created, "sensor:2")
    await cluster.settle()
    await cluster.kubelet.step()
    await cluster.settle()
    status = (await cluster.fresh(created))["status"]
    assert status["currentRevision"] == before != status["updateRevision"]
    assert (status["currentReplicas"], status["updatedReplicas"], status["readyReplicas"]) == (2, 1, 2)
    await cluster.run()
    status = (await cluster.fresh(created))["status"]
    assert status["currentRevision"] == status["updateRevision"] != before


async def test_only_ordinals_from_the_partition_on_are_updated(cluster: Workloads) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
    created = await rolled_out(cluster, updateStrategy=strategy)
    await set_image(cluster, created, "sensor:2")
    await cluster.run()
    assert images(await cluster.pods()) == ["sensor:1", "sensor:1", "sensor:2"]
    status = (await cluster.fresh(created))["status"]
    assert (status["currentReplicas"], status["updatedReplicas"]) == (2, 1)
    # A pod below the partition that is lost comes back as it was.
    await cluster.delete(await pod(cluster, "sensor-0"))
    await cluster.run()
    assert images(await cluster.pods()) == ["sensor:1", "sensor:1", "sensor:2"]


async def test_on_delete_updates_a_pod_only_when_somebody_deletes_it(cluster: Workloads) -> None:
    created = await rolled_out(cluster, updateStrategy={"type": "OnDelete"})
    await set_image(cluster, created, "sensor:2")
    await cluster.run()
    assert images(await cluster.pods()) == ["sensor:1"] * 3
    await cluster.delete(await pod(cluster, "sensor-1"))
    await cluster.run()
    assert images(await cluster.pods()) == ["sensor:1", "sensor:2", "sensor:1"]


async def test_a_broken_pod_blocks_the_way_back_until_somebody_deletes_it(cluster: Workloads) -> None:
    cluster.kubelet.broken.add("sensor:2")
    created = await rolled_out(cluster)
    await set_image(cluster, created, "sensor:2")
    await cluster.run()
    await set_image(cluster, created, "sensor:1")
    await cluster.run()
    assert images(await cluster.pods()) == ["sensor:1", "sensor:1", "sensor:2"]
    await cluster.delete(await pod(cluster, "sensor-2"))
    await cluster.run()
    assert images(await cluster.pods()) == ["sensor:1"] * 3
    status = (await cluster.fresh(created))["status"]
    assert status["currentRevision"] == status["updateRevision"]


async def test_a_broken_pod_of_a_parallel_set_does_not_block_the_way_back(cluster: Workloads) -> None:
    cluster.kubelet.broken.add("sensor:2")
    created = await rolled_out(cluster, podManagementPolicy="Parallel")
    await set_image(cluster, created, "sensor:2")
    await cluster.run()
    assert images(await cluster.pods()) == ["sensor:1", "sensor:1", "sensor:2"]
    await set_image(cluster, created, "sensor:3")
    await cluster.run()
    assert images(await cluster.pods()) == ["sensor:3"] * 3


async def test_max_unavailable_lets_several_pods_be_updated_together(cluster: Workloads) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 2}}
    created = await rolled_out(cluster, updateStrategy=strategy)
    await set_image(cluster, created, "sensor:2")
    await cluster.settle()
    assert await deleted_in_order(cluster) == ["sensor-2", "sensor-1"]
    await cluster.run()
    assert images(await cluster.pods()) == ["sensor:2"] * 3


async def test_going_back_uses_the_earlier_revision_again_under_a_higher_number(cluster: Workloads) -> None:
    created = await rolled_out(cluster)
    (first,) = await cluster.all(REVISION)
    await set_image(cluster, created, "sensor:2")
    await cluster.run()
    await set_image(cluster, created, "sensor:1")
    await cluster.run()
    assert len(await cluster.all(REVISION)) == 2
    assert (await cluster.fresh(first))["revision"] == 3
    assert (await cluster.fresh(created))["status"]["updateRevision"] == name_of(first)


async def test_old_revisions_are_kept_as_far_as_the_history_goes(cluster: Workloads) -> None:
    created = await rolled_out(cluster, revisionHistoryLimit=1)
    for version in (2, 3, 4):
        await set_image(cluster, created, f"sensor:{version}")
        await cluster.run()
    assert sorted(one["revision"] for one in await cluster.all(REVISION)) == [3, 4]


async def test_scaling_down_goes_from_the_top_one_at_a_time(cluster: Workloads) -> None:
    created = await rolled_out(cluster)
    await cluster.change(created, {"spec": {"replicas": 1}})
    await cluster.settle()
    assert await deleted_in_order(cluster) == ["sensor-2"]
    await cluster.run()
    assert await deleted_in_order(cluster) == ["sensor-2", "sensor-1"]
    assert await cluster.pod_names() == ["sensor-0"]


async def test_scaling_down_waits_for_a_broken_pod_that_stays(cluster: Workloads) -> None:
    created = await rolled_out(cluster)
    await cluster.kubelet.set_ready(await pod(cluster, "sensor-0"), ready=False)
    await cluster.change(created, {"spec": {"replicas": 1}})
    await cluster.run()
    assert len(await cluster.pods()) == 3
    await cluster.kubelet.set_ready(await pod(cluster, "sensor-0"), ready=True)
    await cluster.run()
    assert await cluster.pod_names() == ["sensor-0"]


async def test_scaling_down_removes_the_broken_pod_at_the_top(cluster: Workloads) -> None:
    created = await rolled_out(cluster)
    await cluster.kubelet.set_ready(await pod(cluster, "sensor-2"), ready=False)
    await cluster.change(created, {"spec": {"replicas": 2}})
    await cluster.run()
    assert await cluster.pod_names() == ["sensor-0", "sensor-1"]


async def test_ordinals_may_start_elsewhere(cluster: Workloads) -> None:
    await rolled_out(cluster, replicas=2, ordinals={"start": 5})
    assert await cluster.pod_names() == ["sensor-5", "sensor-6"]


async def test_a_failed_pod_is_replaced_under_its_own_name(cluster: Workloads) -> None:
    await rolled_out(cluster)
    failed = await pod(cluster, "sensor-1")
    await cluster.kubelet.finish(failed, exit_code=1)
    await cluster.run()
    again = await pod(cluster, "sensor-1")
    assert again["metadata"]["uid"] != failed["metadata"]["uid"]
    assert await cluster.messages("RecreatingFailedPod") == ["StatefulSet dev/sensor is recreating failed Pod sensor-1"]


async def test_the_next_pod_waits_for_min_ready_seconds(cluster: Workloads) -> None:
    created = await cluster.create(fleet(minReadySeconds=10))
    await cluster.run()
    assert await cluster.pod_names() == ["sensor-0"]
    assert (await cluster.fresh(created))["status"]["availableReplicas"] == 0
    await cluster.advance(10)
    assert await cluster.pod_names() == ["sensor-0", "sensor-1"]
    assert (await cluster.fresh(created))["status"]["availableReplicas"] == 1


async def test_two_quick_changes_end_with_the_second_alone(cluster: Workloads) -> None:
    created = await rolled_out(cluster)
    await set_image(cluster, created, "sensor:2")
    await set_image(cluster, created, "sensor:3")
    await cluster.run()
    assert images(await cluster.pods()) == ["sensor:3"] * 3


async def test_controllers_that_restart_in_the_middle_of_an_update_finish_it(cluster: Workloads) -> None:
    created = await rolled_out(cluster)
    await set_image(cluster, created, "sensor:2")
    for _ in range(8):
        await cluster.clock.settle()
        await cluster.restart_controllers()
        await cluster.kubelet.step()
    await cluster.run()
    assert images(await cluster.pods()) == ["sensor:2"] * 3
    assert len(await cluster.all(REVISION)) == 2


async def test_orphaned_pods_and_revisions_are_taken_over_by_a_namesake(cluster: Workloads) -> None:
    created = await rolled_out(cluster)
    uids = [one["metadata"]["uid"] for one in await cluster.pods()]
    await cluster.delete(created, propagation=Propagation.ORPHAN)
    await cluster.run()
    again = await rolled_out(cluster)
    assert [one["metadata"]["uid"] for one in await cluster.pods()] == uids
    owner = (await cluster.fresh(again))["metadata"]["uid"]
    objects = [*await cluster.pods(), *await cluster.all(REVISION)]
    assert {one["metadata"]["ownerReferences"][0]["uid"] for one in objects} == {owner}


async def test_a_missing_identity_label_is_restored(cluster: Workloads) -> None:
    await rolled_out(cluster)
    second = await pod(cluster, "sensor-1")
    await cluster.change(second, {"metadata": {"labels": {"apps.kubernetes.io/pod-index": None}}})
    await cluster.run()
    assert (await cluster.fresh(second))["metadata"]["labels"]["apps.kubernetes.io/pod-index"] == "1"


async def test_a_revision_name_taken_by_a_stranger_is_avoided(cluster: Workloads) -> None:
    probe = await rolled_out(cluster)
    (taken,) = await cluster.all(REVISION)
    await cluster.delete(probe)
    await cluster.run()
    metadata = {"name": name_of(taken), "namespace": "dev"}
    await cluster.create({"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": metadata, "revision": 1})
    created = await rolled_out(cluster)
    assert (await cluster.fresh(created))["status"]["collisionCount"] == 1
    assert len(await cluster.pods()) == 3


async def test_a_set_at_rest_is_not_written_to(cluster: Workloads) -> None:
    await rolled_out(cluster, minReadySeconds=5)
    for _ in range(4):
        await cluster.advance(6)
        await cluster.run()
    revision = cluster.kernel.revision
    await cluster.restart_controllers()
    await cluster.run()
    await cluster.advance(3600)
    assert cluster.kernel.revision == revision


async def test_a_deleted_set_takes_pods_and_history_with_it(cluster: Workloads) -> None:
    created = await rolled_out(cluster)
    await cluster.delete(created)
    await cluster.run()
    assert await cluster.pods() == []
    assert await cluster.all(REVISION) == []
