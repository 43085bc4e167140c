"""The EndpointSlice controller: who answers for a Service."""

from typing import Any

from fakes.workloads import Workloads, v1, workload
from towpath.cluster.controllers.endpointslice_plan import ENDPOINT_SLICE, plan_slices
from towpath.kube.objects import Object, labels_of, name_of

PORTS = [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]


def service(**spec: Any) -> Object:
    return v1("Service", "sensors", spec={"selector": {"app": "sensor"}, "ports": PORTS, **spec})


async def endpoints(cluster: Workloads) -> list[dict[str, Any]]:
    return [endpoint for one in await cluster.all(ENDPOINT_SLICE) for endpoint in one.get("endpoints") or []]


async def test_ready_pods_answer_for_the_service(cluster: Workloads) -> None:
    created = await cluster.create(service())
    await cluster.create(workload("ReplicaSet", replicas=2))
    await cluster.run()
    (one,) = await cluster.all(ENDPOINT_SLICE)
    pods = await cluster.pods()
    assert labels_of(one) == {
        "kubernetes.io/service-name": "sensors",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    assert one["metadata"]["ownerReferences"][0]["uid"] == created["metadata"]["uid"]
    assert one["addressType"] == "IPv4"
    assert one["ports"] == [{"name": "http", "protocol": "TCP", "port": 8080}]
    assert one["endpoints"][0] == {
        "addresses": [pods[0]["status"]["podIP"]],
        "conditions": {"ready": True, "serving": True, "terminating": False},
        "nodeName": "towpath",
        "targetRef": {
            "kind": "Pod",
            "namespace": "dev",
            "name": name_of(pods[0]),
            "uid": pods[0]["metadata"]["uid"],
        },
    }
    assert len(one["endpoints"]) == 2


async def test_a_service_nobody_answers_for_has_an_empty_slice(cluster: Workloads) -> None:
    await cluster.create(service())
    await cluster.settle()
    (one,) = await cluster.all(ENDPOINT_SLICE)
    assert not one.get("endpoints")


async def test_a_pod_that_is_not_ready_does_not_answer(cluster: Workloads) -> None:
    await cluster.create(service())
    await cluster.create(workload("ReplicaSet", replicas=1))
    await cluster.run()
    (pod,) = await cluster.pods()
    await cluster.kubelet.set_ready(pod, ready=False)
    await cluster.settle()
    (endpoint,) = await endpoints(cluster)
    assert endpoint["conditions"] == {"ready": False, "serving": False, "terminating": False}


async def test_a_service_may_publish_pods_that_are_not_ready(cluster: Workloads) -> None:
    await cluster.create(service(publishNotReadyAddresses=True))
    await cluster.create(workload("ReplicaSet", replicas=1))
    await cluster.run()
    (pod,) = await cluster.pods()
    await cluster.kubelet.set_ready(pod, ready=False)
    await cluster.settle()
    (endpoint,) = await endpoints(cluster)
    assert endpoint["conditions"] == {"ready": True, "serving": False, "terminating": False}


async def test_a_terminating_pod_takes_no_new_work(cluster: Workloads) -> None:
    await cluster.create(service())
    await cluster.create(workload("ReplicaSet", replicas=1))
    await cluster.run()
    (pod,) = await cluster.pods()
    await cluster.delete(pod)
    await cluster.settle()
    (endpoint,) = await endpoints(cluster)
    assert endpoint["conditions"] == {"ready": False, "serving": True, "terminating": True}
    await cluster.kubelet.end(pod)
    await cluster.settle()
    assert await endpoints(cluster) == []


async def test_a_finished_pod_answers_no_more(cluster: Workloads) -> None:
    await cluster.create(service())
    await cluster.create(workload("ReplicaSet", replicas=1))
    await cluster.run()
    (pod,) = await cluster.pods()
    await cluster.kubelet.finish(pod)
    await cluster.settle()
    assert await endpoints(cluster) == []


async def test_a_pod_that_leaves_the_selector_leaves_the_slice(cluster: Workloads) -> None:
    await cluster.create(service())
    await cluster.create(workload("ReplicaSet", replicas=1))
    await cluster.run()
    (pod,) = await cluster.pods()
    await cluster.change(pod, {"metadata": {"labels": {"app": "other"}}})
    await cluster.settle()
    assert await endpoints(cluster) == []


async def test_members_of_a_headless_service_have_names(cluster: Workloads) -> None:
    await cluster.create(service(clusterIP="None"))
    await cluster.create(workload("StatefulSet", replicas=2, serviceName="sensors"))
    await cluster.run()
    (one,) = await cluster.all(ENDPOINT_SLICE)
    assert [endpoint["hostname"] for endpoint in one["endpoints"]] == ["sensor-0", "sensor-1"]
    assert "service.kubernetes.io/headless" in labels_of(one)


async def test_a_change_keeps_the_slice_and_its_name(cluster: Workloads) -> None:
    created = await cluster.create(service())
    await cluster.create(workload("ReplicaSet", replicas=1))
    await cluster.run()
    (before,) = await cluster.all(ENDPOINT_SLICE)
    await cluster.change(created, {"spec": {"ports": [{**PORTS[0], "targetPort": 9090}]}})
    await cluster.settle()
    (after,) = await cluster.all(ENDPOINT_SLICE)
    assert name_of(after) == name_of(before)
    assert after["ports"][0]["port"] == 9090


async def test_a_slice_that_somebody_deletes_comes_back(cluster: Workloads) -> None:
    await cluster.create(service())
    await cluster.settle()
    (before,) = await cluster.all(ENDPOINT_SLICE)
    await cluster.delete(before)
    await cluster.settle()
    (after,) = await cluster.all(ENDPOINT_SLICE)
    assert name_of(after) != name_of(before)


async def test_a_slice_too_many_is_removed(cluster: Workloads) -> None:
    await cluster.create(service())
    await cluster.settle()
    (right,) = await cluster.all(ENDPOINT_SLICE)
    names = ("labels", "namespace", "ownerReferences")
    metadata = {name: value for name, value in right["metadata"].items() if name in names}
    await cluster.create({**right, "metadata": {**metadata, "name": "sensors-surplus"}})
    await cluster.settle()
    assert len(await cluster.all(ENDPOINT_SLICE)) == 1


async def test_a_service_without_a_selector_is_left_to_its_author(cluster: Workloads) -> None:
    await cluster.create(v1("Service", "outside", spec={"ports": PORTS}))
    await cluster.settle()
    assert await cluster.all(ENDPOINT_SLICE) == []


async def test_the_slices_go_with_their_service(cluster: Workloads) -> None:
    created = await cluster.create(service())
    await cluster.settle()
    await cluster.delete(created)
    await cluster.settle()
    assert await cluster.all(ENDPOINT_SLICE) == []


async def test_slices_at_rest_are_not_written_to(cluster: Workloads) -> None:
    await cluster.create(service())
    await cluster.create(workload("ReplicaSet", replicas=2))
    await cluster.run()
    revision = cluster.kernel.revision
    await cluster.restart_controllers()
    await cluster.run()
    assert cluster.kernel.revision == revision


def pod(name: str, address: str, *ports: tuple[str, int]) -> Object:
    named = [{"name": port, "containerPort": number} for port, number in ports]
    made = v1("Pod", name, spec={"containers": [{"name": "main", "ports": named}]})
    return {**made, "status": {"podIP": address}}


def planned(target: object, *pods: Object) -> list[Object]:
    owner = service(ports=[{"port": 80, "targetPort": target}])
    return plan_slices(owner, pods, []).create


def test_a_named_port_is_each_pods_own() -> None:
    slices = planned("web", pod("a", "10.0.0.1", ("web", 8080)), pod("b", "10.0.0.2", ("web", 9090)))
    assert [one["ports"][0]["port"] for one in slices] == [8080, 9090]
    assert [one["endpoints"][0]["addresses"] for one in slices] == [["10.0.0.1"], ["10.0.0.2"]]


def test_a_pod_without_the_named_port_has_no_port_to_offer() -> None:
    (one,) = planned("web", pod("a", "10.0.0.1", ("metrics", 9090)))
    assert one["ports"] == []


def test_without_a_target_the_service_port_is_the_target() -> None:
    assert planned(None, pod("a", "10.0.0.1"))[0]["ports"][0]["port"] == 80


def test_many_endpoints_are_spread_over_slices_of_a_hundred() -> None:
    pods = [pod(f"p-{number:03}", f"10.0.1.{number}") for number in range(150)]
    assert [len(one["endpoints"]) for one in planned(8080, *pods)] == [100, 50]


def test_surplus_slices_are_deleted_and_right_ones_kept() -> None:
    owner = service(ports=[{"port": 80}])
    (right,) = plan_slices(owner, [pod("a", "10.0.0.1")], []).create
    surplus = {**right, "metadata": {**right["metadata"], "name": "surplus"}, "ports": []}
    plan = plan_slices(owner, [pod("a", "10.0.0.1")], [surplus, right])
    assert (plan.create, plan.update, plan.delete) == ([], [], [surplus])
