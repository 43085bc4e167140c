"""The StatefulSet controller: pods with stable names, made, updated and removed in order.

What to do is decided in `statefulset_plan`, the history of templates in `statefulset_revisions`. A pod of a bad
revision that never becomes ready blocks an OrderedReady set, also on the way back: that is upstream's behaviour, kept
here; freeing it is the reconciler's business.
"""

from towpath.aio.clock import Clock
from towpath.cluster.controllers.adoption import claim
from towpath.cluster.controllers.events import EventRecorder
from towpath.cluster.controllers.informer import Informer, NamespacedName, namespaced_name
from towpath.cluster.controllers.loop import ControlLoop
from towpath.cluster.controllers.ownership import is_controlled_by, is_terminating
from towpath.cluster.controllers.pod_control import PodControl, Wording
from towpath.cluster.controllers.pods import is_finished, phase_of
from towpath.cluster.controllers.ports import ObjectClient
from towpath.cluster.controllers.statefulset_plan import (
    Fleet,
    StatefulSetPlan,
    identity_labels,
    ordinal_of,
    plan_pods,
    plan_status,
)
from towpath.cluster.controllers.statefulset_revisions import (
    CONTROLLER_REVISION,
    Revisions,
    plan_revisions,
    plan_truncation,
    revision_name_of,
    sort_revisions,
    template_of,
)
from towpath.cluster.controllers.template_hash import is_same_template
from towpath.cluster.controllers.triggers import add_adopters, add_changed, add_controllers
from towpath.cluster.controllers.writes import WRITE, WRITE_STATUS, write_status
from towpath.kube.errors import AlreadyExistsError, ApiError, ApiNotFoundError
from towpath.kube.objects import GVK, Object, labels_of, name_of, namespace_of, uid_of
from towpath.kube.requests import DeleteOptions

STATEFUL_SET = GVK("apps", "v1", "StatefulSet")

WORDING = Wording(
    created="create Pod {pod} in StatefulSet {owner} successful",
    deleted="delete Pod {pod} in StatefulSet {owner} successful",
    create_failed="create Pod {pod} in StatefulSet {owner} failed error: {error}",
    delete_failed="delete Pod {pod} in StatefulSet {owner} failed error: {error}",
)


class StatefulSetController:
    """Keeps the pods and revisions of every StatefulSet."""

    def __init__(
        self,
        client: ObjectClient,
        *,
        statefulsets: Informer,
        revisions: Informer,
        pods: Informer,
        events: EventRecorder,
        clock: Clock,
    ) -> None:
        self.loop = ControlLoop("statefulset", self.reconcile, clock=clock)
        self._client = client
        self._statefulsets = statefulsets
        self._revisions = revisions
        self._pods = pods
        self._clock = clock
        self._events = events.source("statefulset-controller")
        self._pod_control = PodControl(client, pods, self.loop, self._events, WORDING)
        statefulsets.on_change(add_changed(self.loop))
        revisions.on_change(add_controllers(self.loop, STATEFUL_SET))
        pods.on_change(add_controllers(self.loop, STATEFUL_SET))
        pods.on_change(add_adopters(self.loop, statefulsets, may_adopt=_has_ordinal))

    async def reconcile(self, key: NamespacedName) -> float | None:
        """Take the next step of one StatefulSet; seconds until a pod becomes available by time alone.

        Raises:
            ApiError: a write was refused; the status is written all the same, and the key comes back.
        """
        statefulset = self._statefulsets.find(key)
        if statefulset is None:
            return None
        history = sort_revisions(await claim(self._client, statefulset, self._revisions.in_namespace(key.namespace)))
        members = [
            pod for pod in self._pods.in_namespace(key.namespace) if ordinal_of(statefulset, name_of(pod)) is not None
        ]
        pods = await claim(self._client, statefulset, members)
        revisions = plan_revisions(statefulset, history)
        if revisions.pending is not None and not is_terminating(statefulset):
            await self._store_revision(statefulset, revisions)
        fleet = Fleet(statefulset, pods, revisions.current, revisions.update, self._clock.now())
        plan = plan_pods(fleet)
        refusal: ApiError | None = None
        try:
            await self._carry_out(statefulset, plan)
        except ApiError as error:
            refusal = error
        await write_status(self._client, self.loop, self._statefulsets, statefulset, plan_status(fleet))
        if refusal is not None:
            raise refusal
        await self._truncate(fleet, history)
        return plan.recheck_seconds

    async def _carry_out(self, statefulset: Object, plan: StatefulSetPlan) -> None:
        for pod in plan.relabel:
            await self._relabel(statefulset, pod)
        for pod in plan.create:
            await self._pod_control.create(statefulset, pod)
        for pod in plan.delete:
            if is_finished(pod):
                self._announce_finished(statefulset, pod)
            await self._pod_control.delete(statefulset, pod)

    async def _relabel(self, statefulset: Object, pod: Object) -> None:
        labels = {**labels_of(pod), **identity_labels(name_of(pod), ordinal_of(statefulset, name_of(pod)) or 0)}
        stored = await self._client.update({**pod, "metadata": {**pod["metadata"], "labels": labels}}, WRITE)
        self.loop.expectations.expect_written(namespaced_name(statefulset), self._pods, stored)

    def _announce_finished(self, statefulset: Object, pod: Object) -> None:
        subject = f"StatefulSet {namespaced_name(statefulset)} is recreating"
        if phase_of(pod) == "Failed":
            self._events.warning(statefulset, "RecreatingFailedPod", f"{subject} failed Pod {name_of(pod)}")
        else:
            self._events.normal(statefulset, "RecreatingTerminatedPod", f"{subject} terminated Pod {name_of(pod)}")

    async def _store_revision(self, statefulset: Object, revisions: Revisions) -> None:
        pending = revisions.pending or revisions.update
        if uid_of(pending):
            stored = await self._client.update(pending, WRITE)
        else:
            try:
                stored = await self._client.create(pending, WRITE)
            except AlreadyExistsError:
                await self._meet_namesake(statefulset, pending)
                raise
        self.loop.expectations.expect_written(namespaced_name(statefulset), self._revisions, stored)

    async def _meet_namesake(self, statefulset: Object, pending: Object) -> None:
        # Ours and merely not seen yet: the retry finds it. Otherwise the collision gives the retry another name.
        namesake = await self._client.get(CONTROLLER_REVISION, name_of(pending), namespace_of(pending))
        is_same = is_same_template(template_of(namesake), template_of(pending))
        if is_controlled_by(namesake, statefulset) and is_same:
            return
        status = statefulset.get("status", {})
        collided = {**status, "collisionCount": int(status.get("collisionCount") or 0) + 1}
        stored = await self._client.update({**statefulset, "status": collided}, WRITE_STATUS)
        self.loop.expectations.expect_written(namespaced_name(statefulset), self._statefulsets, stored)

    async def _truncate(self, fleet: Fleet, history: list[Object]) -> None:
        in_use = {name_of(fleet.current), name_of(fleet.update), *map(revision_name_of, fleet.pods)}
        for revision in plan_truncation(fleet.statefulset, history, in_use):
            try:
                options = DeleteOptions(uid=uid_of(revision))
                await self._client.delete(CONTROLLER_REVISION, name_of(revision), namespace_of(revision), options)
            except ApiNotFoundError:
                continue
            key = namespaced_name(fleet.statefulset)
            self.loop.expectations.expect_deleted(key, self._revisions, revision)


def _has_ordinal(statefulset: Object, pod: Object) -> bool:
    """Whether a pod has a name that the StatefulSet gives."""
    return ordinal_of(statefulset, name_of(pod)) is not None
