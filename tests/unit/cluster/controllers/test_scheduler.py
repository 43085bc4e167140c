"""The scheduler: one node, or a reason why not."""

from typing import Any

from fakes.kubelet import NODE
from fakes.workloads import Workloads, condition, template, v1
from towpath.kube.objects import Object


def pod(name: str = "one", **spec: Any) -> Object:
    return v1("Pod", name, spec={**template()["spec"], **spec})


async def test_a_pod_is_bound_at_once(cluster: Workloads) -> None:
    created = await cluster.create(pod())
    await cluster.settle()
    bound = await cluster.fresh(created)
    assert bound["spec"]["nodeName"] == NODE
    assert condition(bound, "PodScheduled")["status"] == "True"
    assert await cluster.messages("Scheduled") == [f"Successfully assigned dev/one to {NODE}"]


async def test_a_pod_that_asks_for_another_node_stays_pending_with_the_reason(cluster: Workloads) -> None:
    created = await cluster.create(pod(nodeSelector={"disk": "fast"}))
    await cluster.settle()
    stored = await cluster.fresh(created)
    reason = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
    assert "nodeName" not in stored["spec"]
    assert stored["status"]["phase"] == "Pending"
    scheduled = condition(stored, "PodScheduled")
    assert (scheduled["status"], scheduled["reason"], scheduled["message"]) == ("False", "Unschedulable", reason)
    assert await cluster.messages("FailedScheduling") == [reason]


async def test_a_pod_that_names_another_node_is_refused(cluster: Workloads) -> None:
    created = await cluster.create(pod(nodeName="elsewhere"))
    await cluster.settle()
    assert condition(await cluster.fresh(created), "PodScheduled")["reason"] == "Unschedulable"
    assert "elsewhere" in (await cluster.messages("FailedScheduling"))[0]


async def test_a_refused_pod_is_bound_when_the_node_gets_the_label(cluster: Workloads) -> None:
    created = await cluster.create(pod(nodeSelector={"disk": "fast"}))
    await cluster.settle()
    node = v1("Node", NODE, namespace="")
    await cluster.change(node, {"metadata": {"labels": {"disk": "fast"}}})
    await cluster.settle()
    assert (await cluster.fresh(created))["spec"]["nodeName"] == NODE
    assert condition(await cluster.fresh(created), "PodScheduled")["status"] == "True"


async def test_a_cordoned_node_takes_no_new_pods(cluster: Workloads) -> None:
    node = v1("Node", NODE, namespace="")
    await cluster.change(node, {"spec": {"unschedulable": True}})
    created = await cluster.create(pod())
    await cluster.settle()
    assert await cluster.messages("FailedScheduling") == ["0/1 nodes are available: 1 node(s) were unschedulable."]
    await cluster.change(node, {"spec": {"unschedulable": None}})
    await cluster.settle()
    assert (await cluster.fresh(created))["spec"]["nodeName"] == NODE


async def test_without_a_node_pods_wait_and_are_bound_when_it_registers(cluster: Workloads) -> None:
    await cluster.delete(v1("Node", NODE, namespace=""))
    created = await cluster.create(pod())
    await cluster.settle()
    assert await cluster.messages("FailedScheduling") == ["no nodes available to schedule pods"]
    await cluster.kubelet.register()
    await cluster.settle()
    assert (await cluster.fresh(created))["spec"]["nodeName"] == NODE


async def test_a_node_heartbeat_costs_no_write(cluster: Workloads) -> None:
    await cluster.create(pod())
    await cluster.run()
    node = v1("Node", NODE, namespace="")
    await cluster.change(node, {"status": {"nodeInfo": {"kubeletVersion": "v1"}}}, subresource="status")
    revision = cluster.kernel.revision
    await cluster.settle()
    assert cluster.kernel.revision == revision


async def test_a_pod_deleted_before_it_was_bound_is_gone(cluster: Workloads) -> None:
    created = await cluster.create(pod())
    await cluster.delete(created)
    await cluster.settle()
    assert not await cluster.exists(created)
    assert await cluster.messages("Scheduled") == []
