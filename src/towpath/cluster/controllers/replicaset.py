"""The ReplicaSet controller: as many active pods as asked for.

It owns pods by controller reference, adopts orphans its selector matches and releases pods that stopped matching. What
to create or delete, and the status, are decided in `replicaset_plan`; expectations keep a lagging cache from counting
a pod it created as missing.
"""

from collections.abc import Callable

from towpath.aio.clock import Clock
from towpath.cluster.controllers.adoption import claim
from towpath.cluster.controllers.conditions import Condition
from towpath.cluster.controllers.events import EventRecorder
from towpath.cluster.controllers.informer import Informer, NamespacedName, namespaced_name
from towpath.cluster.controllers.loop import ControlLoop
from towpath.cluster.controllers.ownership import is_terminating, selector_of
from towpath.cluster.controllers.pod_control import PodControl
from towpath.cluster.controllers.pods import is_active, prepare_generated_pod
from towpath.cluster.controllers.ports import ObjectClient
from towpath.cluster.controllers.replicaset_plan import (
    REPLICA_FAILURE,
    min_ready_seconds_of,
    plan_recheck,
    plan_replicas,
    plan_status,
)
from towpath.cluster.controllers.writes import write_status
from towpath.kube.errors import ApiError
from towpath.kube.objects import GVK, Object, controller_of, labels_of, name_of, namespace_of

REPLICA_SET = GVK("apps", "v1", "ReplicaSet")


class ReplicaSetController:
    """Keeps the pods of every ReplicaSet."""

    def __init__(
        self,
        client: ObjectClient,
        *,
        replicasets: Informer,
        pods: Informer,
        events: EventRecorder,
        clock: Clock,
        random_suffix: Callable[[], str],
    ) -> None:
        self.loop = ControlLoop("replicaset", self.reconcile, clock=clock)
        self._client = client
        self._replicasets = replicasets
        self._pods = pods
        self._clock = clock
        self._random_suffix = random_suffix
        self._pod_control = PodControl(client, pods, self.loop, events.source("replicaset-controller"))
        replicasets.on_change(self._on_replicaset)
        pods.on_change(self._on_pod)

    async def reconcile(self, key: NamespacedName) -> float | None:
        """Bring one ReplicaSet's pods to its spec; seconds until a pod becomes available by time alone.

        Raises:
            ApiError: a write was refused; the status says so, and the key comes back.
        """
        replicaset = self._replicasets.find(key)
        if replicaset is None:
            return None
        pods = await claim(self._client, replicaset, self._pods.in_namespace(key.namespace))
        failure: Condition | None = None
        refusal: ApiError | None = None
        if not is_terminating(replicaset):
            plan = plan_replicas(replicaset, pods)
            try:
                await self._create(replicaset, plan.create)
                for pod in plan.delete:
                    await self._pod_control.delete(replicaset, pod)
            except ApiError as error:
                reason = "FailedCreate" if plan.create else "FailedDelete"
                failure, refusal = Condition(REPLICA_FAILURE, "True", reason, error.message), error
        now = self._clock.now()
        status = plan_status(replicaset, pods, failure, now=now)
        await write_status(self._client, self.loop, self._replicasets, replicaset, status)
        if refusal is not None:
            raise refusal
        active = [pod for pod in pods if is_active(pod)]
        return plan_recheck(active, min_ready_seconds=min_ready_seconds_of(replicaset), now=now)

    async def _create(self, replicaset: Object, count: int) -> None:
        # One by one: the first refusal ends the round, so that a quota or a bad template costs one attempt.
        for _ in range(count):
            pod = prepare_generated_pod(
                replicaset, replicaset["spec"]["template"], base=name_of(replicaset), suffix=self._random_suffix()
            )
            await self._pod_control.create(replicaset, pod)

    def _on_replicaset(self, before: Object | None, after: Object | None) -> None:
        changed = after or before
        if changed is not None:
            self.loop.add(namespaced_name(changed))

    def _on_pod(self, before: Object | None, after: Object | None) -> None:
        for pod in (before, after):
            owner = controller_of(pod) if pod is not None else None
            if pod is not None and owner is not None and owner.kind == REPLICA_SET.kind:
                self.loop.add(NamespacedName(namespace_of(pod), owner.name))
        if after is not None and controller_of(after) is None:
            self._offer(after)

    def _offer(self, orphan: Object) -> None:
        for replicaset in self._replicasets.in_namespace(namespace_of(orphan)):
            selector = selector_of(replicaset)
            if selector is not None and selector.matches(labels_of(orphan)):
                self.loop.add(namespaced_name(replicaset))
