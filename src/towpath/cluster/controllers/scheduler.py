"""The scheduler of a cluster with one node: binds every pod to it at once, or says why not.

A pod that asks for another node (by `nodeName` or `nodeSelector`) stays Pending with PodScheduled=False and a
FailedScheduling event. There is nothing to weigh: resources are the node agent's to admit.
"""

from typing import Any

from towpath.aio.clock import Clock, format_rfc3339
from towpath.cluster.controllers.conditions import find_condition, is_true
from towpath.cluster.controllers.events import EventRecorder
from towpath.cluster.controllers.informer import Informer, NamespacedName, namespaced_name
from towpath.cluster.controllers.loop import ControlLoop
from towpath.cluster.controllers.ownership import is_terminating
from towpath.cluster.controllers.pods import POD, is_finished
from towpath.cluster.controllers.ports import ObjectClient
from towpath.kube.errors import ApiNotFoundError
from towpath.kube.objects import GVK, Object, find_path, labels_of, name_of, uid_of
from towpath.kube.requests import Patch, PatchType, WriteOptions

NODE = GVK("", "v1", "Node")
FIELD_MANAGER = "kube-scheduler"


class Scheduler:
    """Binds pods to nodes."""

    def __init__(
        self, client: ObjectClient, *, pods: Informer, nodes: Informer, events: EventRecorder, clock: Clock
    ) -> None:
        self.loop = ControlLoop("scheduler", self.reconcile, clock=clock)
        self._client = client
        self._pods = pods
        self._nodes = nodes
        self._clock = clock
        self._events = events.source("default-scheduler")
        pods.on_change(self._on_pod)
        nodes.on_change(self._on_node)

    async def reconcile(self, key: NamespacedName) -> None:
        """Bind one pod, or write down why it cannot be bound.

        Raises:
            ApiError: a write was refused; the key comes back.
        """
        pod = self._pods.find(key)
        if pod is None or is_terminating(pod) or is_finished(pod):
            return
        nodes = sorted(self._nodes.in_namespace(""), key=name_of)
        refusal = find_refusal(pod, nodes)
        bound_to = find_path(pod, "spec", "nodeName")
        if refusal is not None:
            await self._refuse(pod, refusal)
        elif not bound_to:
            node = next(node for node in nodes if _fits(pod, node))
            await self._bind(pod, name_of(node))

    async def _bind(self, pod: Object, node: str) -> None:
        # The condition first: the node agent acts on nodeName, and then has the whole pod to itself.
        if not is_true(find_path(pod, "status", "conditions") or [], "PodScheduled"):
            await self._write_condition(pod, {"status": "True"})
        body = {"metadata": {"uid": uid_of(pod)}, "spec": {"nodeName": node}}
        stored = await self._patch(pod, body, subresource="")
        if stored is not None:
            self.loop.expectations.expect_written(namespaced_name(pod), self._pods, stored)
            text = f"Successfully assigned {namespaced_name(pod)} to {node}"
            self._events.normal(pod, "Scheduled", text)

    async def _refuse(self, pod: Object, refusal: str) -> None:
        condition = find_condition(find_path(pod, "status", "conditions") or [], "PodScheduled")
        if condition is not None and condition.get("message") == refusal:
            return
        await self._write_condition(pod, {"status": "False", "reason": "Unschedulable", "message": refusal})
        self._events.warning(pod, "FailedScheduling", refusal)

    async def _write_condition(self, pod: Object, says: dict[str, Any]) -> None:
        condition = {"type": "PodScheduled", "lastTransitionTime": format_rfc3339(self._clock.now()), **says}
        stored = await self._patch(pod, {"status": {"conditions": [condition]}}, subresource="status")
        if stored is not None:
            self.loop.expectations.expect_written(namespaced_name(pod), self._pods, stored)

    async def _patch(self, pod: Object, body: dict[str, Any], *, subresource: str) -> Object | None:
        options = WriteOptions(field_manager=FIELD_MANAGER, subresource=subresource)
        key = namespaced_name(pod)
        try:
            return await self._client.patch(POD, key.name, key.namespace, Patch(PatchType.STRATEGIC, body), options)
        except ApiNotFoundError:
            return None  # deleted meanwhile

    def _on_pod(self, before: Object | None, after: Object | None) -> None:
        if after is not None and (before is None or not find_path(after, "spec", "nodeName")):
            self.loop.add(namespaced_name(after))

    def _on_node(self, before: Object | None, after: Object | None) -> None:
        if before is not None and after is not None and _offer_of(before) == _offer_of(after):
            return  # a heartbeat
        for pod in self._pods:
            if after is None or not is_finished(pod):
                self.loop.add(namespaced_name(pod))


def find_refusal(pod: Object, nodes: list[Object]) -> str | None:
    """Why none of the nodes takes the pod, in upstream's words; None when one does."""
    if not nodes:
        return "no nodes available to schedule pods"
    asked = find_path(pod, "spec", "nodeName")
    if asked:
        if any(name_of(node) == asked for node in nodes):
            return None  # already where it wants to be
        return f"0/{len(nodes)} nodes are available: the pod asks for node {asked}, which does not exist."
    if any(_fits(pod, node) for node in nodes):
        return None
    cordoned = sum(_is_cordoned(node) for node in nodes)
    unmatched = len(nodes) - cordoned
    reasons = [
        *([f"{cordoned} node(s) were unschedulable"] if cordoned else []),
        *([f"{unmatched} node(s) didn't match Pod's node affinity/selector"] if unmatched else []),
    ]
    return f"0/{len(nodes)} nodes are available: {', '.join(reasons)}."


def _fits(pod: Object, node: Object) -> bool:
    selector = find_path(pod, "spec", "nodeSelector") or {}
    return not _is_cordoned(node) and selector.items() <= labels_of(node).items()


def _is_cordoned(node: Object) -> bool:
    return bool(find_path(node, "spec", "unschedulable"))


def _offer_of(node: Object) -> tuple[dict[str, str], bool]:
    return labels_of(node), _is_cordoned(node)
