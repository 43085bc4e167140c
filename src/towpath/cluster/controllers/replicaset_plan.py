"""What a ReplicaSet does next, and what its status says: pure arithmetic over its pods."""

from dataclasses import dataclass
from typing import Any

from towpath.cluster.controllers.conditions import Condition, find_condition, remove_condition, set_condition
from towpath.cluster.controllers.pods import (
    created_at,
    is_active,
    is_available,
    is_ready,
    phase_of,
    ready_since,
    restarts_of,
    seconds_until_available,
)
from towpath.cluster.controllers.status import prepare_status
from towpath.kube.objects import Object, annotations_of, find_path, labels_of, metadata_of, name_of

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
REPLICA_FAILURE = "ReplicaFailure"

# 500: upstream's burst; the rest follows in the next round, so that one huge set cannot starve the others.
BURST = 500


@dataclass(frozen=True, slots=True)
class ReplicaPlan:
    """How many pods to create, and which to delete; at most one of the two."""

    create: int
    delete: list[Object]


def plan_replicas(replicaset: Object, pods: list[Object]) -> ReplicaPlan:
    """Compare `spec.replicas` with the active pods among `pods`."""
    active = [pod for pod in pods if is_active(pod)]
    missing = wanted_replicas(replicaset) - len(active)
    if missing >= 0:
        return ReplicaPlan(min(missing, BURST), [])
    return ReplicaPlan(0, sorted(active, key=victim_order)[: min(-missing, BURST)])


def wanted_replicas(owner: Object) -> int:
    """`spec.replicas`, which is 1 when nobody said."""
    replicas = find_path(owner, "spec", "replicas")
    return 1 if replicas is None else int(replicas)


def min_ready_seconds_of(owner: Object) -> int:
    """`spec.minReadySeconds`."""
    return int(find_path(owner, "spec", "minReadySeconds") or 0)


def victim_order(pod: Object) -> tuple[Any, ...]:
    """Sorts first what is missed least (`controller_utils.go`, ActivePodsWithRanks)."""
    return (
        bool(find_path(pod, "spec", "nodeName")),  # 1. not assigned to a node before assigned
        {"Pending": 0, "Unknown": 1}.get(phase_of(pod), 2),  # 2. Pending, Unknown, Running
        is_ready(pod),  # 3. not ready before ready
        _deletion_cost(pod),  # 4. cheap before dear
        -(ready_since(pod) or 0.0),  # 5. ready for a short time before ready for long
        -restarts_of(pod),  # 6. many restarts before few
        -created_at(pod),  # 7. new before old
        name_of(pod),  # the same answer for equals, whatever order they came in
    )


def plan_status(replicaset: Object, pods: list[Object], failure: Condition | None, *, now: float) -> dict[str, Any]:
    """The status; `failure` is why pods could not be created or deleted in this round, if so."""
    active = [pod for pod in pods if is_active(pod)]
    min_ready = min_ready_seconds_of(replicaset)
    template_labels = (find_path(replicaset, "spec", "template", "metadata", "labels") or {}).items()
    conditions = find_path(replicaset, "status", "conditions") or []
    if failure is None:
        conditions = remove_condition(conditions, REPLICA_FAILURE)
    elif find_condition(conditions, REPLICA_FAILURE) is None:
        conditions = set_condition(conditions, failure, now=now)
    return prepare_status(
        {
            "replicas": len(active),
            "fullyLabeledReplicas": sum(template_labels <= labels_of(pod).items() for pod in active),
            "readyReplicas": sum(is_ready(pod) for pod in active),
            "availableReplicas": sum(is_available(pod, min_ready_seconds=min_ready, now=now) for pod in active),
            "observedGeneration": metadata_of(replicaset).get("generation", 0),
            "conditions": conditions,
        },
        kept=("replicas",),
    )


def plan_recheck(pods: list[Object], *, min_ready_seconds: int, now: float) -> float | None:
    """Seconds until the next ready pod becomes available, or None when time alone changes nothing."""
    waits = [seconds_until_available(pod, min_ready_seconds=min_ready_seconds, now=now) for pod in pods]
    return min((wait for wait in waits if wait), default=None)


def _deletion_cost(pod: Object) -> int:
    try:
        return int(annotations_of(pod).get(DELETION_COST, "0"))
    except ValueError:
        return 0  # upstream refuses such a value on entry and reads it as 0 here
