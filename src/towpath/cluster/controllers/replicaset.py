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
from towpath.cluster.controllers.informer import Informer, NamespacedName
from towpath.cluster.controllers.loop import ControlLoop
from towpath.cluster.controllers.ownership import is_terminating
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
from towpath.cluster.controllers.triggers import add_adopters, add_changed, add_controllers
from towpath.cluster.controllers.writes import write_status
from towpath.kube.errors import ApiError
from towpath.kube.objects import GVK, Object, name_of

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
        replicasets.on_change(add_changed(self.loop))
        pods.on_change(add_controllers(self.loop, REPLICA_SET))
        pods.on_change(add_adopters(self.loop, replicasets))

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
