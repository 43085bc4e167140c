"""The Deployment controller, played with real ReplicaSets and a pretend kubelet."""

from typing import Any

from fakes.workloads import Workloads, condition, images, workload
from towpath.kube.errors import InvalidError
from towpath.kube.objects import GVK, Object, find_path
from towpath.kube.requests import Propagation

REPLICA_SET = GVK("apps", "v1", "ReplicaSet")


def deployment(**spec: Any) -> Object:
    return workload("Deployment", **{"replicas": 3, "progressDeadlineSeconds": 600, **spec})


async def rolled_out(cluster: Workloads, **spec: Any) -> Object:
    created = await cluster.create(deployment(**spec))
    await cluster.run()
    return created


async def set_image(cluster: Workloads, obj: Object, image: str) -> Object:
    containers = [{"name": "main", "image": image}]
    return await cluster.change(obj, {"spec": {"template": {"spec": {"containers": containers}}}})


async def test_a_new_deployment_becomes_ready_pods_of_one_replica_set(cluster: Workloads) -> None:
    created = await rolled_out(cluster)
    (replicaset,) = await cluster.all(REPLICA_SET)
    digest = replicaset["metadata"]["labels"]["pod-template-hash"]
    assert replicaset["metadata"]["name"] == f"sensor-{digest}"
    assert replicaset["spec"]["selector"]["matchLabels"] == {"app": "sensor", "pod-template-hash": digest}
    assert {pod["metadata"]["labels"]["pod-template-hash"] for pod in await cluster.pods()} == {digest}
    stored = await cluster.fresh(created)
    assert stored["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"
    assert stored["status"] | {"conditions": []} == {
        "observedGeneration": 1,
        "replicas": 3,
        "updatedReplicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
        "conditions": [],
    }
    assert condition(stored, "Available")["reason"] == "MinimumReplicasAvailable"
    assert condition(stored, "Progressing")["reason"] == "NewReplicaSetAvailable"


async def test_a_rolling_update_replaces_every_pod(cluster: Workloads) -> None:
    created = await rolled_out(cluster)
    await set_image(cluster, created, "sensor:2")
    await cluster.run()
    assert images(await cluster.pods()) == ["sensor:2"] * 3
    stored = await cluster.fresh(created)
    assert stored["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
    assert condition(stored, "Progressing")["reason"] == "NewReplicaSetAvailable"


async def test_a_rolling_update_never_drops_below_its_minimum_nor_above_its_surge(cluster: Workloads) -> None:
    bounds = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}}
    created = await rolled_out(cluster, replicas=4, strategy=bounds)
    await set_image(cluster, created, "sensor:2")
    available, total = [], []
    await cluster.settle()
    while await cluster.kubelet.step():
        await cluster.settle()
        pods = [pod for pod in await cluster.pods() if "deletionTimestamp" not in pod["metadata"]]
        available.append(sum(find_path(pod, "status", "phase") == "Running" for pod in pods))
        total.append(len(pods))
    assert min(available) >= 3
    assert max(total) <= 5
    assert images(await cluster.pods()) == ["sensor:2"] * 4


async def test_a_version_that_never_becomes_ready_stops_the_update(cluster: Workloads) -> None:
    cluster.kubelet.broken.add("sensor:2")
    created = await rolled_out(cluster)
    await set_image(cluster, created, "sensor:2")
    await cluster.run()
    assert sorted(images(await cluster.pods())) == ["sensor:1"] * 3 + ["sensor:2"]
    assert condition(await cluster.fresh(created), "Available")["status"] == "True"


async def test_a_rollout_that_makes_no_progress_exceeds_its_deadline(cluster: Workloads) -> None:
    cluster.kubelet.broken.add("sensor:2")
    created = await rolled_out(cluster, progressDeadlineSeconds=60)
    await set_image(cluster, created, "sensor:2")
    await cluster.run()
    await cluster.advance(59)
    assert condition(await cluster.fresh(created), "Progressing")["status"] == "True"
    await cluster.advance(3)
    progressing = condition(await cluster.fresh(created), "Progressing")
    assert (progressing["status"], progressing["reason"]) == ("False", "ProgressDeadlineExceeded")
    assert "has timed out progressing" in progressing["message"]


async def test_a_rollout_past_its_deadline_recovers_with_a_good_version(cluster: Workloads) -> None:
    cluster.kubelet.broken.add("sensor:2")
    created = await rolled_out(cluster, progressDeadlineSeconds=60)
    await set_image(cluster, created, "sensor:2")
    await cluster.run()
    await cluster.advance(62)
    await set_image(cluster, created, "sensor:3")
    await cluster.run()
    assert images(await cluster.pods()) == ["sensor:3"] * 3
    assert condition(await cluster.fresh(created), "Progressing")["reason"] == "NewReplicaSetAvailable"


async def test_going_back_to_an_earlier_template_uses_its_replica_set_again(cluster: Workloads) -> None:
    created = await rolled_out(cluster)
    (first,) = await cluster.all(REPLICA_SET)
    await set_image(cluster, created, "sensor:2")
    await cluster.run()
    await set_image(cluster, created, "sensor:1")
    await cluster.run()
    assert len(await cluster.all(REPLICA_SET)) == 2
    again = await cluster.fresh(first)
    assert again["spec"]["replicas"] == 3
    assert again["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"
    assert again["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"] == "1"
    assert (await cluster.fresh(created))["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"


async def test_a_bad_version_is_left_by_going_back(cluster: Workloads) -> None:
    cluster.kubelet.broken.add("sensor:2")
    created = await rolled_out(cluster)
    await set_image(cluster, created, "sensor:2")
    await cluster.run()
    await set_image(cluster, created, "sensor:1")
    await cluster.run()
    assert images(await cluster.pods()) == ["sensor:1"] * 3
    assert condition(await cluster.fresh(created), "Progressing")["reason"] == "NewReplicaSetAvailable"


async def test_two_quick_changes_end_with_the_second_alone(cluster: Workloads) -> None:
    created = await rolled_out(cluster)
    await set_image(cluster, created, "sensor:2")
    await set_image(cluster, created, "sensor:3")
    await cluster.run()
    assert images(await cluster.pods()) == ["sensor:3"] * 3
    assert len([one for one in await cluster.all(REPLICA_SET) if one["spec"]["replicas"]]) == 1


async def test_a_change_in_the_middle_of_a_rollout_ends_with_the_last_alone(cluster: Workloads) -> None:
    created = await rolled_out(cluster)
    await set_image(cluster, created, "sensor:2")
    await cluster.settle()
    await cluster.kubelet.step()
    await set_image(cluster, created, "sensor:3")
    await cluster.run()
    assert images(await cluster.pods()) == ["sensor:3"] * 3


async def test_recreate_lets_every_old_pod_go_before_the_first_new_one(cluster: Workloads) -> None:
    created = await rolled_out(cluster, strategy={"type": "Recreate"})
    await set_image(cluster, created, "sensor:2")
    await cluster.settle()
    assert images(await cluster.pods()) == ["sensor:1"] * 3  # all terminating
    old = await cluster.kubelet.pods()
    for pod in old[:2]:
        await cluster.kubelet.end(pod)
    await cluster.settle()
    assert images(await cluster.pods()) == ["sensor:1"]
    await cluster.run()
    assert images(await cluster.pods()) == ["sensor:2"] * 3


async def test_a_paused_deployment_does_not_roll_out(cluster: Workloads) -> None:
    created = await rolled_out(cluster)
    await cluster.change(created, {"spec": {"paused": True}})
    await set_image(cluster, created, "sensor:2")
    await cluster.run()
    assert images(await cluster.pods()) == ["sensor:1"] * 3
    assert condition(await cluster.fresh(created), "Progressing")["reason"] == "DeploymentPaused"
    await cluster.change(created, {"spec": {"paused": None}})
    await cluster.run()
    assert images(await cluster.pods()) == ["sensor:2"] * 3
    assert condition(await cluster.fresh(created), "Progressing")["reason"] == "NewReplicaSetAvailable"


async def test_a_paused_deployment_still_scales_and_observes(cluster: Workloads) -> None:
    created = await rolled_out(cluster, paused=True)
    assert await cluster.pods() == []
    await cluster.change(created, {"spec": {"paused": False}})
    await cluster.run()
    await cluster.change(created, {"spec": {"paused": True, "replicas": 5}})
    await cluster.run()
    stored = await cluster.fresh(created)
    assert len(await cluster.pods()) == 5
    assert stored["status"]["observedGeneration"] == stored["metadata"]["generation"]


async def test_scaling_up_and_down_changes_pods_but_no_revision(cluster: Workloads) -> None:
    created = await rolled_out(cluster)
    for replicas in (5, 1, 0, 2):
        await cluster.change(created, {"spec": {"replicas": replicas}})
        await cluster.run()
        assert len(await cluster.pods()) == replicas
    assert len(await cluster.all(REPLICA_SET)) == 1
    assert (await cluster.fresh(created))["status"]["replicas"] == 2


async def test_scaling_a_stuck_rollout_keeps_its_proportions(cluster: Workloads) -> None:
    cluster.kubelet.broken.add("sensor:2")
    bounds = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}
    created = await rolled_out(cluster, replicas=10, strategy=bounds)
    await set_image(cluster, created, "sensor:2")
    await cluster.run()
    assert sorted(images(await cluster.pods())) == ["sensor:1"] * 8 + ["sensor:2"] * 5
    await cluster.change(created, {"spec": {"replicas": 15}})
    await cluster.run()
    # The example of upstream's documentation: of five more, three go to the old and two to the new set.
    assert sorted(images(await cluster.pods())) == ["sensor:1"] * 11 + ["sensor:2"] * 7


async def test_events_tell_of_each_scaling(cluster: Workloads) -> None:
    await rolled_out(cluster, replicas=2)
    (replicaset,) = await cluster.all(REPLICA_SET)
    name = replicaset["metadata"]["name"]
    assert await cluster.messages("ScalingReplicaSet") == [f"Scaled up replica set {name} from 0 to 2"]
    assert len(await cluster.messages("SuccessfulCreate")) == 2


async def test_old_replica_sets_are_kept_as_far_as_the_history_goes(cluster: Workloads) -> None:
    created = await rolled_out(cluster, revisionHistoryLimit=1)
    for version in (2, 3, 4):
        await set_image(cluster, created, f"sensor:{version}")
        await cluster.run()
    kept = sorted(
        one["metadata"]["annotations"]["deployment.kubernetes.io/revision"] for one in await cluster.all(REPLICA_SET)
    )
    assert kept == ["3", "4"]


async def test_controllers_that_restart_in_the_middle_of_a_rollout_finish_it(cluster: Workloads) -> None:
    created = await rolled_out(cluster)
    await set_image(cluster, created, "sensor:2")
    for _ in range(8):
        await cluster.clock.settle()
        await cluster.restart_controllers()
        await cluster.kubelet.step()
    await cluster.run()
    assert images(await cluster.pods()) == ["sensor:2"] * 3
    assert len(await cluster.all(REPLICA_SET)) == 2


async def test_what_changes_while_no_controller_runs_is_caught_up(cluster: Workloads) -> None:
    created = await rolled_out(cluster)
    await cluster.stop_controllers()
    await set_image(cluster, created, "sensor:2")
    for pod in await cluster.pods():
        await cluster.delete(pod)
        await cluster.kubelet.step()
    await cluster.restart_controllers()
    await cluster.run()
    assert images(await cluster.pods()) == ["sensor:2"] * 3


async def test_a_deleted_deployment_takes_everything_with_it(cluster: Workloads) -> None:
    created = await rolled_out(cluster)
    await cluster.delete(created)
    await cluster.run()
    assert await cluster.pods() == []
    assert await cluster.all(REPLICA_SET) == []


async def test_an_orphaned_replica_set_is_adopted_by_a_new_deployment(cluster: Workloads) -> None:
    created = await rolled_out(cluster)
    await cluster.delete(created, propagation=Propagation.ORPHAN)
    await cluster.run()
    before = await cluster.pod_names()
    assert len(before) == 3
    again = await rolled_out(cluster)
    assert await cluster.pod_names() == before
    (replicaset,) = await cluster.all(REPLICA_SET)
    assert replicaset["metadata"]["ownerReferences"][0]["uid"] == (await cluster.fresh(again))["metadata"]["uid"]


async def test_a_name_taken_by_a_stranger_is_avoided(cluster: Workloads) -> None:
    probe = await rolled_out(cluster, replicas=1)
    (replicaset,) = await cluster.all(REPLICA_SET)
    name = replicaset["metadata"]["name"]
    await cluster.delete(probe)
    await cluster.run()
    stranger = workload("ReplicaSet", "stranger", replicas=0)
    stranger["metadata"]["name"] = name
    await cluster.create(stranger)
    created = await rolled_out(cluster)
    assert (await cluster.fresh(created))["status"]["collisionCount"] == 1
    assert len(await cluster.pods()) == 3


async def test_a_refused_replica_set_is_reported_and_tried_again(cluster: Workloads) -> None:
    cluster.refusals["ReplicaSet"] = InvalidError("the quota is spent")
    created = await cluster.create(deployment())

    async def is_reported() -> bool:
        conditions = find_path(await cluster.fresh(created), "status", "conditions") or []
        return any(one["reason"] == "ReplicaSetCreateError" for one in conditions)

    await cluster.until(is_reported)
    progressing = condition(await cluster.fresh(created), "Progressing")
    assert progressing["status"] == "False"
    assert progressing["message"].endswith(": the quota is spent")
    cluster.refusals.clear()
    await cluster.run()
    assert len(await cluster.pods()) == 3


async def test_a_deployment_at_rest_is_not_written_to(cluster: Workloads) -> None:
    await rolled_out(cluster)
    revision = cluster.kernel.revision
    await cluster.restart_controllers()
    await cluster.run()
    await cluster.advance(3600)
    assert cluster.kernel.revision == revision


async def test_a_new_image_and_a_new_size_at_once_both_arrive(cluster: Workloads) -> None:
    created = await rolled_out(cluster)
    pod_spec = {"containers": [{"name": "main", "image": "sensor:2"}]}
    await cluster.change(created, {"spec": {"replicas": 5, "template": {"spec": pod_spec}}})
    await cluster.run()
    assert images(await cluster.pods()) == ["sensor:2"] * 5
    assert condition(await cluster.fresh(created), "Progressing")["reason"] == "NewReplicaSetAvailable"


async def test_the_next_pods_wait_for_min_ready_seconds(cluster: Workloads) -> None:
    bounds = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    created = await rolled_out(cluster, replicas=2, strategy=bounds)
    await cluster.change(created, {"spec": {"minReadySeconds": 30}})
    await cluster.advance(30)
    await set_image(cluster, created, "sensor:2")
    await cluster.run()
    assert sorted(images(await cluster.pods())) == ["sensor:1", "sensor:1", "sensor:2"]
    for _ in range(3):
        await cluster.advance(30)
        await cluster.run()
    assert images(await cluster.pods()) == ["sensor:2"] * 2


async def test_annotations_of_the_deployment_are_inherited_but_kubectls_own_is_not(cluster: Workloads) -> None:
    bare = deployment()
    bare["metadata"]["annotations"] = {
        "kubernetes.io/change-cause": "first release",
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
    }
    await cluster.create(bare)
    await cluster.run()
    (replicaset,) = await cluster.all(REPLICA_SET)
    annotations = replicaset["metadata"]["annotations"]
    assert annotations["kubernetes.io/change-cause"] == "first release"
    assert "kubectl.kubernetes.io/last-applied-configuration" not in annotations


async def test_without_a_deadline_there_is_no_progress_to_report(cluster: Workloads) -> None:
    created = await rolled_out(cluster, progressDeadlineSeconds=2**31 - 1)
    stored = await cluster.fresh(created)
    assert [one["type"] for one in stored["status"]["conditions"]] == ["Available"]


async def test_the_failure_of_a_replica_set_is_the_deployments_too(cluster: Workloads) -> None:
    cluster.refusals["Pod"] = InvalidError("no such volume")
    created = await cluster.create(deployment())

    async def is_reported() -> bool:
        conditions = find_path(await cluster.fresh(created), "status", "conditions") or []
        return any(one["type"] == "ReplicaFailure" for one in conditions)

    await cluster.until(is_reported)
    assert condition(await cluster.fresh(created), "ReplicaFailure")["message"] == "no such volume"
    cluster.refusals.clear()
    await cluster.run()
    types = [one["type"] for one in (await cluster.fresh(created))["status"]["conditions"]]
    assert sorted(types) == ["Available", "Progressing"]
