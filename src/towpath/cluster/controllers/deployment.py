"""The Deployment controller: rollouts of pod templates by way of ReplicaSets.

It decides which step is due (deleted, paused or scaled: no rollout; else the strategy's next step) and writes the
status after it. The steps are in `deployment_rollout`, the arithmetic in `deployment_plan`, conditions in
`deployment_status`. ReplicaSets tell it of pods; pods themselves matter only to Recreate.
"""

from towpath.aio.clock import Clock
from towpath.cluster.controllers.adoption import claim
from towpath.cluster.controllers.deployment_rollout import DEPLOYMENT, Rollout
from towpath.cluster.controllers.deployment_status import is_complete, plan_status, seconds_until_deadline
from towpath.cluster.controllers.events import EventRecorder
from towpath.cluster.controllers.informer import Informer, NamespacedName
from towpath.cluster.controllers.loop import ControlLoop
from towpath.cluster.controllers.ownership import is_terminating
from towpath.cluster.controllers.pods import is_finished
from towpath.cluster.controllers.ports import ObjectClient
from towpath.cluster.controllers.replicaset import REPLICA_SET
from towpath.cluster.controllers.replicasets import is_scaling
from towpath.cluster.controllers.triggers import add_adopters, add_changed, add_controllers
from towpath.cluster.controllers.writes import write_status
from towpath.kube.errors import ApiError
from towpath.kube.objects import Object, controller_of, find_path, namespace_of, uid_of


class DeploymentController:
    """Keeps the ReplicaSets of every Deployment."""

    def __init__(
        self,
        client: ObjectClient,
        *,
        deployments: Informer,
        replicasets: Informer,
        pods: Informer,
        events: EventRecorder,
        clock: Clock,
    ) -> None:
        self.loop = ControlLoop("deployment", self.reconcile, clock=clock)
        self._client = client
        self._deployments = deployments
        self._replicasets = replicasets
        self._pods = pods
        self._clock = clock
        self._events = events.source("deployment-controller")
        deployments.on_change(add_changed(self.loop))
        replicasets.on_change(add_controllers(self.loop, DEPLOYMENT))
        replicasets.on_change(add_adopters(self.loop, deployments))
        pods.on_change(self._on_pod)

    async def reconcile(self, key: NamespacedName) -> float | None:
        """Take the next step of one Deployment's rollout; seconds until its progress deadline, if it has one to meet.

        Raises:
            ApiError: a write was refused; the key comes back.
        """
        deployment = self._deployments.find(key)
        if deployment is None:
            return None
        owned = await claim(self._client, deployment, self._replicasets.in_namespace(key.namespace))
        rollout = Rollout(
            self._client,
            self.loop,
            self._events,
            deployment=deployment,
            owned=owned,
            caches=(self._deployments, self._replicasets),
        )
        syncing = self._is_syncing(rollout)
        try:
            await self._step(rollout, syncing=syncing)
        except ApiError:
            if rollout.note is not None:
                await self._write_status(rollout, syncing=syncing)
            raise
        status = await self._write_status(rollout, syncing=syncing)
        if syncing:
            return None
        return seconds_until_deadline(rollout.deployment, status, now=self._clock.now())

    def _is_syncing(self, rollout: Rollout) -> bool:
        deployment = rollout.deployment
        is_paused = bool(deployment["spec"].get("paused"))
        return is_terminating(deployment) or is_paused or is_scaling(deployment, rollout.sets.all)

    async def _step(self, rollout: Rollout, *, syncing: bool) -> None:
        deployment = rollout.deployment
        if is_terminating(deployment):
            return
        if syncing:
            await rollout.scale()
        elif find_path(deployment, "spec", "strategy", "type") == "Recreate":
            await rollout.recreate([pod for pod in self._pods_of(rollout) if not is_finished(pod)])
        else:
            await rollout.roll()
        if deployment["spec"].get("paused") or is_complete(deployment, deployment.get("status", {})):
            await rollout.clean_up()

    async def _write_status(self, rollout: Rollout, *, syncing: bool) -> dict[str, object]:
        status = plan_status(
            rollout.deployment, rollout.sets, now=self._clock.now(), note=rollout.note, syncing=syncing
        )
        await write_status(self._client, self.loop, self._deployments, rollout.deployment, status)
        return status

    def _pods_of(self, rollout: Rollout) -> list[Object]:
        return [pod for one in rollout.sets.all for pod in self._pods.owned_by(uid_of(one))]

    def _on_pod(self, before: Object | None, after: Object | None) -> None:
        # The last old pod to go lets a Recreate begin; no ReplicaSet status tells of it.
        owner = controller_of(before) if before is not None else None
        if before is None or owner is None or owner.kind != REPLICA_SET.kind or (after and not is_finished(after)):
            return
        replicaset = self._replicasets.find(NamespacedName(namespace_of(before), owner.name))
        of = controller_of(replicaset) if replicaset is not None else None
        if of is not None and of.kind == DEPLOYMENT.kind:
            self.loop.add(NamespacedName(namespace_of(before), of.name))
