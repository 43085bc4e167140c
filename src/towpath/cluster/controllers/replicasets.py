"""The ReplicaSets of a Deployment: which one is new, their revisions, and the annotations that remember a rollout.

Pure. Annotations are upstream's, because kubectl's `rollout history` and `rollout undo` read them.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

from towpath.cluster.controllers.deployment_plan import Bounds, SetSize
from towpath.cluster.controllers.ownership import prepare_owner_reference
from towpath.cluster.controllers.pods import created_at
from towpath.cluster.controllers.replicaset_plan import wanted_replicas
from towpath.cluster.controllers.template_hash import POD_TEMPLATE_HASH, is_same_template, template_hash
from towpath.kube.objects import Object, annotations_of, find_path, name_of, namespace_of

REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED_REPLICAS = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS = "deployment.kubernetes.io/max-replicas"
NOT_INHERITED = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        "deprecated.deployment.rollback.to",
        REVISION,
        REVISION_HISTORY,
        DESIRED_REPLICAS,
        MAX_REPLICAS,
    }
)


@dataclass(frozen=True, slots=True)
class Replicasets:
    """A Deployment's ReplicaSets: the one of its present template, if it exists, and the others, oldest first."""

    new: Object | None
    old: list[Object]

    @classmethod
    def of(cls, deployment: Object, owned: Sequence[Object]) -> "Replicasets":
        """Tell new from old by comparing templates; of two that match, the older one is new, as upstream."""
        template = deployment["spec"]["template"]
        ordered = sorted(owned, key=lambda one: (created_at(one), name_of(one)))
        new = next((one for one in ordered if is_same_template(one["spec"]["template"], template)), None)
        return cls(new, [one for one in ordered if one is not new])

    @property
    def all(self) -> list[Object]:
        """Old ones first."""
        return [*self.old, *([self.new] if self.new is not None else [])]

    def replace(self, stored: Object) -> "Replicasets":
        """The same with `stored` in the place of the one of its name."""
        old = [stored if name_of(one) == name_of(stored) else one for one in self.old]
        is_new = self.new is not None and name_of(self.new) == name_of(stored)
        return Replicasets(stored if is_new else self.new, old)


def set_size(replicaset: Object) -> SetSize:
    """The numbers that planning needs."""
    return SetSize(
        name=name_of(replicaset),
        created=created_at(replicaset),
        replicas=wanted_replicas(replicaset),
        available=int(find_path(replicaset, "status", "availableReplicas") or 0),
        largest=_number(replicaset, MAX_REPLICAS),
    )


def revision_of(obj: Object) -> int:
    """The revision annotation of a ReplicaSet or Deployment; 0 without one."""
    return _number(obj, REVISION)


def is_scaling(deployment: Object, replicasets: Sequence[Object]) -> bool:
    """Whether `spec.replicas` changed since an active set was last sized."""
    return any(
        wanted_replicas(one) > 0
        and DESIRED_REPLICAS in annotations_of(one)
        and _number(one, DESIRED_REPLICAS) != wanted_replicas(deployment)
        for one in replicasets
    )


def size_annotations(bounds: Bounds) -> dict[str, str]:
    """What a set remembers of the Deployment that sized it."""
    return {DESIRED_REPLICAS: str(bounds.replicas), MAX_REPLICAS: str(bounds.largest)}


def prepare_replicaset(deployment: Object, *, revision: int, replicas: int) -> Object:
    """The ReplicaSet of a Deployment's present template."""
    spec = deployment["spec"]
    collisions = int(find_path(deployment, "status", "collisionCount") or 0)
    digest = template_hash(spec["template"], collisions=collisions)
    template = copy.deepcopy(spec["template"])
    metadata = template.get("metadata") or {}
    metadata["labels"] = {**(metadata.get("labels") or {}), POD_TEMPLATE_HASH: digest}
    template["metadata"] = metadata
    selector = copy.deepcopy(spec["selector"])
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), POD_TEMPLATE_HASH: digest}
    min_ready = spec.get("minReadySeconds")
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{name_of(deployment)}-{digest}",
            "namespace": namespace_of(deployment),
            "labels": dict(metadata["labels"]),
            "annotations": {
                **_inherited(deployment),
                **size_annotations(Bounds.of(deployment)),
                REVISION: str(revision),
            },
            "ownerReferences": [prepare_owner_reference(deployment)],
        },
        "spec": {
            "replicas": replicas,
            **({"minReadySeconds": min_ready} if min_ready else {}),
            "selector": selector,
            "template": template,
        },
    }


def prepare_current(deployment: Object, replicaset: Object, *, revision: int) -> Object:
    """`replicaset` as the newest of its Deployment: revision, inherited annotations, minReadySeconds."""
    annotations = {**annotations_of(replicaset), **_inherited(deployment)}
    former = revision_of(replicaset)
    if former < revision:
        if former:
            history = [*filter(None, annotations.get(REVISION_HISTORY, "").split(",")), str(former)]
            annotations[REVISION_HISTORY] = ",".join(history)
        annotations[REVISION] = str(revision)
    spec = {name: value for name, value in replicaset["spec"].items() if name != "minReadySeconds"}
    if deployment["spec"].get("minReadySeconds"):
        spec["minReadySeconds"] = deployment["spec"]["minReadySeconds"]
    metadata = {**replicaset["metadata"], "annotations": annotations}
    return {**replicaset, "metadata": metadata, "spec": spec}


def prepare_scaled(deployment: Object, replicaset: Object, replicas: int) -> Object:
    """`replicaset` with another size, remembering what the Deployment asked for at this moment."""
    annotations = {**annotations_of(replicaset), **size_annotations(Bounds.of(deployment))}
    metadata = {**replicaset["metadata"], "annotations": annotations}
    return {**replicaset, "metadata": metadata, "spec": {**replicaset["spec"], "replicas": replicas}}


def plan_clean_up(deployment: Object, old: Sequence[Object]) -> list[Object]:
    """The old sets beyond `spec.revisionHistoryLimit`: lowest revisions first, and never one that still has pods."""
    limit = find_path(deployment, "spec", "revisionHistoryLimit")
    if limit is None:
        return []
    by_revision = sorted(old, key=lambda one: (revision_of(one), created_at(one)))
    surplus = by_revision[: max(0, len(by_revision) - int(limit))]
    return [one for one in surplus if _is_spent(one)]


def _is_spent(replicaset: Object) -> bool:
    observed = int(find_path(replicaset, "status", "observedGeneration") or 0)
    return (
        wanted_replicas(replicaset) == 0
        and not find_path(replicaset, "status", "replicas")
        and observed >= int(replicaset["metadata"].get("generation", 0))
        and "deletionTimestamp" not in replicaset["metadata"]
    )


def _inherited(deployment: Object) -> dict[str, str]:
    return {name: value for name, value in annotations_of(deployment).items() if name not in NOT_INHERITED}


def _number(obj: Object, annotation: str) -> int:
    try:
        return int(annotations_of(obj).get(annotation, "0"))
    except ValueError:
        return 0  # edited by hand: as good as absent
