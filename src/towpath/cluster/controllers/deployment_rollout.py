"""One Deployment's rollout, carried out: makes and sizes its ReplicaSets, and cleans up what history no longer needs.

Each method is one step that leaves the cluster consistent, so that the controller may be killed between any two. The
decisions are in `deployment_plan`, the bookkeeping of revisions in `replicasets`.
"""

from collections.abc import Sequence

from towpath.cluster.controllers.conditions import Condition, find_condition
from towpath.cluster.controllers.deployment_plan import (
    Bounds,
    Sizes,
    plan_new,
    plan_old,
    plan_scaling,
)
from towpath.cluster.controllers.deployment_status import PROGRESSING
from towpath.cluster.controllers.events import EventSource
from towpath.cluster.controllers.informer import Informer, namespaced_name
from towpath.cluster.controllers.loop import ControlLoop, is_namespace_terminating
from towpath.cluster.controllers.ownership import is_controlled_by
from towpath.cluster.controllers.ports import ObjectClient
from towpath.cluster.controllers.replicaset import REPLICA_SET
from towpath.cluster.controllers.replicaset_plan import wanted_replicas
from towpath.cluster.controllers.replicasets import (
    REVISION,
    Replicasets,
    plan_clean_up,
    prepare_current,
    prepare_replicaset,
    prepare_scaled,
    revision_of,
    set_size,
    size_annotations,
)
from towpath.cluster.controllers.template_hash import is_same_template
from towpath.cluster.controllers.writes import WRITE, WRITE_STATUS
from towpath.kube.errors import AlreadyExistsError, ApiError, ApiNotFoundError
from towpath.kube.objects import GVK, Object, annotations_of, find_path, name_of, namespace_of, uid_of
from towpath.kube.requests import DeleteOptions

DEPLOYMENT = GVK("apps", "v1", "Deployment")


class Rollout:
    """A Deployment, its ReplicaSets, and what this round has to say about its progress (`note`)."""

    def __init__(
        self,
        client: ObjectClient,
        loop: ControlLoop,
        events: EventSource,
        *,
        deployment: Object,
        owned: Sequence[Object],
        caches: tuple[Informer, Informer],
    ) -> None:
        """`caches` are those of Deployments and of ReplicaSets."""
        self.deployment = deployment
        self.sets = Replicasets.of(deployment, owned)
        self.note: Condition | None = None
        self._client = client
        self._loop = loop
        self._events = events
        self._deployments, self._replicasets = caches
        self._key = namespaced_name(deployment)

    async def ensure_new(self, *, create: bool) -> None:
        """Make the set of the present template the newest; with `create`, create it when it is missing.

        Raises:
            ApiError: refused; `note` says why.
        """
        revision = max((revision_of(one) for one in self.sets.old), default=0) + 1
        if self.sets.new is not None:
            current = prepare_current(self.deployment, self.sets.new, revision=revision)
            if current != self.sets.new:
                await self._update(current)
            if find_condition(find_path(self.deployment, "status", "conditions") or [], PROGRESSING) is None:
                text = f'Found new replica set "{name_of(self.sets.new)}"'
                self.note = Condition(PROGRESSING, "True", "FoundNewReplicaSet", text)
        elif create:
            await self._create(revision)
        if self.sets.new is not None:
            await self._record_revision(annotations_of(self.sets.new)[REVISION])

    async def roll(self) -> None:
        """One step of a rolling update: grow the new set, or else shrink old ones."""
        await self.ensure_new(create=True)
        new = self.sets.new
        if new is None:
            return
        bounds, old = Bounds.of(self.deployment), [set_size(one) for one in self.sets.old]
        size = plan_new(bounds, set_size(new), old)
        if size != wanted_replicas(new):
            await self.resize({name_of(new): size})
        else:
            await self.resize(plan_old(bounds, set_size(new), old))

    async def recreate(self, pods: Sequence[Object]) -> None:
        """One step of a Recreate: all old pods go before the first new one comes.

        Args:
            pods: every pod of every set of this Deployment that has not finished.
        """
        await self.ensure_new(create=False)
        standing = {name_of(one): 0 for one in self.sets.old if wanted_replicas(one) > 0}
        if standing:
            await self.resize(standing)
            return
        if self._old_pods_remain(pods):
            return
        if self.sets.new is None:
            await self.ensure_new(create=True)
        new, wanted = self.sets.new, wanted_replicas(self.deployment)
        if new is not None and wanted_replicas(new) != wanted:
            await self.resize({name_of(new): wanted})

    async def scale(self) -> None:
        """Carry a change of `spec.replicas` into the sets without moving the rollout on."""
        await self.ensure_new(create=False)
        new, old = self.sets.new, [set_size(one) for one in self.sets.old]
        bounds = Bounds.of(self.deployment)
        rolling = find_path(self.deployment, "spec", "strategy", "type") != "Recreate"
        sizes = plan_scaling(bounds, set_size(new) if new is not None else None, old, rolling=rolling)
        # Sets that keep their size take note of the new wish too; otherwise they would look unscaled for ever.
        outdated = {
            name_of(one): wanted_replicas(one)
            for one in self.sets.all
            if wanted_replicas(one) > 0 and not size_annotations(bounds).items() <= annotations_of(one).items()
        }
        await self.resize({**outdated, **sizes})

    async def resize(self, sizes: Sizes) -> None:
        """Give sets their new sizes."""
        for replicaset in self.sets.all:
            size = sizes.get(name_of(replicaset))
            if size is None:
                continue
            before = wanted_replicas(replicaset)
            await self._update(prepare_scaled(self.deployment, replicaset, size))
            self._announce(replicaset, before=before, after=size)

    async def clean_up(self) -> None:
        """Delete the sets that the revision history has no room for."""
        for replicaset in plan_clean_up(self.deployment, self.sets.old):
            options = DeleteOptions(uid=uid_of(replicaset))
            try:
                await self._client.delete(REPLICA_SET, name_of(replicaset), namespace_of(replicaset), options)
            except ApiNotFoundError:
                continue
            self._loop.expectations.expect_deleted(self._key, self._replicasets, replicaset)

    def _old_pods_remain(self, pods: Sequence[Object]) -> bool:
        if any(find_path(one, "status", "replicas") for one in self.sets.old):
            return True
        new = self.sets.new
        return any(new is None or not is_controlled_by(pod, new) for pod in pods)

    async def _create(self, revision: int) -> None:
        wanted = prepare_replicaset(self.deployment, revision=revision, replicas=0)
        if find_path(self.deployment, "spec", "strategy", "type") == "Recreate":
            size = wanted_replicas(self.deployment)
        else:
            size = plan_new(Bounds.of(self.deployment), set_size(wanted), [set_size(one) for one in self.sets.old])
        wanted["spec"]["replicas"] = size
        try:
            stored = await self._client.create(wanted, WRITE)
        except AlreadyExistsError:
            await self._meet_namesake(wanted)
            raise
        except ApiError as error:
            if not is_namespace_terminating(error):
                text = f'Failed to create new replica set "{name_of(wanted)}": {error.message}'
                self.note = Condition(PROGRESSING, "False", "ReplicaSetCreateError", text)
                self._events.warning(self.deployment, "ReplicaSetCreateError", text)
            raise
        self._loop.expectations.expect_written(self._key, self._replicasets, stored)
        self.sets = Replicasets(stored, self.sets.old)
        self._announce(stored, before=0, after=size)
        text = f'Created new replica set "{name_of(stored)}"'
        self.note = Condition(PROGRESSING, "True", "NewReplicaSetCreated", text)

    async def _meet_namesake(self, wanted: Object) -> None:
        # Either the cache has not shown it yet, and the retry finds it; or the name is taken by another template,
        # and counting the collision gives the retry another name.
        namesake = await self._client.get(REPLICA_SET, name_of(wanted), namespace_of(wanted))
        template = self.deployment["spec"]["template"]
        if is_controlled_by(namesake, self.deployment) and is_same_template(namesake["spec"]["template"], template):
            return
        status = self.deployment.get("status", {})
        collided = {**status, "collisionCount": int(status.get("collisionCount") or 0) + 1}
        stored = await self._client.update({**self.deployment, "status": collided}, WRITE_STATUS)
        self._loop.expectations.expect_written(self._key, self._deployments, stored)

    async def _record_revision(self, revision: str) -> None:
        if annotations_of(self.deployment).get(REVISION) == revision:
            return
        # Locked to the version this round decided on: a status about another template must not follow.
        metadata = self.deployment["metadata"]
        annotations = {**annotations_of(self.deployment), REVISION: revision}
        revised = {**self.deployment, "metadata": {**metadata, "annotations": annotations}}
        self.deployment = await self._client.update(revised, WRITE)
        self._loop.expectations.expect_written(self._key, self._deployments, self.deployment)

    async def _update(self, replicaset: Object) -> None:
        stored = await self._client.update(replicaset, WRITE)
        self._loop.expectations.expect_written(self._key, self._replicasets, stored)
        self.sets = self.sets.replace(stored)

    def _announce(self, replicaset: Object, *, before: int, after: int) -> None:
        if before == after:
            return
        direction = "up" if after > before else "down"
        text = f"Scaled {direction} replica set {name_of(replicaset)} from {before} to {after}"
        self._events.normal(self.deployment, "ScalingReplicaSet", text)
