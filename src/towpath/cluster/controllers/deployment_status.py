"""What a Deployment's status says: counts, availability, and progress against `progressDeadlineSeconds`. Pure.

The reasons are upstream's, word by word: `kubectl rollout status`, Argo CD and kstatus decide on them. Progress moves
`lastUpdateTime`, from which the deadline is counted.
"""

from collections.abc import Sequence
from typing import Any

from towpath.aio.clock import parse_rfc3339
from towpath.cluster.controllers.conditions import (
    Condition,
    find_condition,
    remove_condition,
    set_condition,
)
from towpath.cluster.controllers.deployment_plan import Bounds
from towpath.cluster.controllers.replicaset_plan import REPLICA_FAILURE, wanted_replicas
from towpath.cluster.controllers.replicasets import Replicasets
from towpath.cluster.controllers.status import prepare_status
from towpath.kube.objects import Object, find_path, metadata_of, name_of

AVAILABLE = "Available"
PROGRESSING = "Progressing"
NEW_REPLICA_SET_AVAILABLE = "NewReplicaSetAvailable"
DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
PAUSED = "DeploymentPaused"

# Upstream's way to say "no deadline": the greatest int32.
NO_DEADLINE = 2**31 - 1

Conditions = list[dict[str, Any]]


def plan_status(
    deployment: Object, replicasets: Replicasets, *, now: float, note: Condition | None = None, syncing: bool = False
) -> dict[str, Any]:
    """The status.

    Args:
        deployment: with the status it has.
        replicasets: its sets, as they are known.
        now: wall time in epoch seconds.
        note: what happened to the new set in this round, said in the Progressing condition.
        syncing: the Deployment is paused, being scaled or being deleted: progress is not judged.
    """
    fields = _counts(deployment, replicasets)
    conditions = _pause_rule(deployment, find_path(deployment, "status", "conditions") or [], now)
    if note is not None and _deadline_of(deployment) is not None:
        conditions = set_condition(conditions, note, now=now, stamp_updates=True)
    conditions = _availability_rule(deployment, fields["availableReplicas"], conditions, now)
    if not syncing:
        conditions = _progress_rule(deployment, replicasets, fields, conditions, now)
        conditions = _failure_rule(replicasets, conditions, now)
    return prepare_status({**fields, "conditions": conditions})


def is_complete(deployment: Object, status: dict[str, Any]) -> bool:
    """Whether all pods are of the present template, available, and alone."""
    replicas = wanted_replicas(deployment)
    counts = [status.get(name, 0) for name in ("updatedReplicas", "replicas", "availableReplicas")]
    return all(count == replicas for count in counts)


def seconds_until_deadline(deployment: Object, status: dict[str, Any], *, now: float) -> float | None:
    """When to look again at a rollout that may be stuck; None when it is over, paused, or has no deadline."""
    deadline = _deadline_of(deployment)
    progressing = find_condition(status.get("conditions") or [], PROGRESSING)
    if deadline is None or progressing is None or is_complete(deployment, status):
        return None
    if progressing.get("reason") in {DEADLINE_EXCEEDED, PAUSED, NEW_REPLICA_SET_AVAILABLE}:
        return None
    # One second more: the deadline has passed only when its last second is over.
    return max(0.0, parse_rfc3339(progressing["lastUpdateTime"]) + deadline - now) + 1.0


def _counts(deployment: Object, replicasets: Replicasets) -> dict[str, Any]:
    available = _sum(replicasets.all, "availableReplicas")
    asked = sum(wanted_replicas(one) for one in replicasets.all)
    return {
        "observedGeneration": metadata_of(deployment).get("generation", 0),
        "replicas": _sum(replicasets.all, "replicas"),
        "updatedReplicas": _sum([replicasets.new] if replicasets.new is not None else [], "replicas"),
        "readyReplicas": _sum(replicasets.all, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, asked - available),
        "collisionCount": find_path(deployment, "status", "collisionCount"),
    }


def _sum(replicasets: Sequence[Object], field: str) -> int:
    return sum(int(find_path(one, "status", field) or 0) for one in replicasets)


def _pause_rule(deployment: Object, conditions: Conditions, now: float) -> Conditions:
    present = find_condition(conditions, PROGRESSING)
    if _deadline_of(deployment) is None:
        return remove_condition(conditions, PROGRESSING)
    if present is not None and present.get("reason") == DEADLINE_EXCEEDED:
        return conditions  # a failed rollout stays failed in the eyes of who looks, paused or not
    is_said = present is not None and present.get("reason") == PAUSED
    if deployment["spec"].get("paused") and not is_said:
        paused = Condition(PROGRESSING, "Unknown", PAUSED, "Deployment is paused")
        return set_condition(conditions, paused, now=now, stamp_updates=True)
    if is_said and not deployment["spec"].get("paused"):
        resumed = Condition(PROGRESSING, "Unknown", "DeploymentResumed", "Deployment is resumed")
        return set_condition(conditions, resumed, now=now, stamp_updates=True)
    return conditions


def _availability_rule(deployment: Object, available: int, conditions: Conditions, now: float) -> Conditions:
    if available >= Bounds.of(deployment).min_available:
        wanted = Condition(AVAILABLE, "True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        text = "Deployment does not have minimum availability."
        wanted = Condition(AVAILABLE, "False", "MinimumReplicasUnavailable", text)
    return set_condition(conditions, wanted, now=now, stamp_updates=True)


def _progress_rule(
    deployment: Object, replicasets: Replicasets, fields: dict[str, Any], conditions: Conditions, now: float
) -> Conditions:
    deadline = _deadline_of(deployment)
    present = find_condition(conditions, PROGRESSING)
    was_complete = present is not None and present.get("reason") == NEW_REPLICA_SET_AVAILABLE
    if deadline is None or (was_complete and fields["replicas"] == fields["updatedReplicas"]):
        return conditions
    subject = f'ReplicaSet "{name_of(replicasets.new)}"' if replicasets.new else f'Deployment "{name_of(deployment)}"'
    if is_complete(deployment, fields):
        text = f"{subject} has successfully progressed."
        wanted = Condition(PROGRESSING, "True", NEW_REPLICA_SET_AVAILABLE, text)
        return set_condition(conditions, wanted, now=now, stamp_updates=True)
    if _has_progressed(find_path(deployment, "status") or {}, fields):
        wanted = Condition(PROGRESSING, "True", "ReplicaSetUpdated", f"{subject} is progressing.")
        return set_condition(conditions, wanted, now=now, stamp_updates=True, renew=True)
    if _has_timed_out(present, deadline, now):
        wanted = Condition(PROGRESSING, "False", DEADLINE_EXCEEDED, f"{subject} has timed out progressing.")
        return set_condition(conditions, wanted, now=now, stamp_updates=True)
    return conditions


def _has_progressed(former: dict[str, Any], fields: dict[str, Any]) -> bool:
    def old_pods(status: dict[str, Any]) -> int:
        return int(status.get("replicas", 0)) - int(status.get("updatedReplicas", 0))

    grew = any(fields[name] > former.get(name, 0) for name in ("updatedReplicas", "readyReplicas", "availableReplicas"))
    return grew or old_pods(fields) < old_pods(former)


def _has_timed_out(present: dict[str, Any] | None, deadline: int, now: float) -> bool:
    if present is None or present.get("reason") in {NEW_REPLICA_SET_AVAILABLE, PAUSED}:
        return False
    return present.get("reason") == DEADLINE_EXCEEDED or parse_rfc3339(present["lastUpdateTime"]) + deadline < now


def _failure_rule(replicasets: Replicasets, conditions: Conditions, now: float) -> Conditions:
    newest_first = reversed(replicasets.all)
    failures = (find_condition(find_path(one, "status", "conditions") or [], REPLICA_FAILURE) for one in newest_first)
    failure = next((one for one in failures if one is not None), None)
    if failure is None:
        return remove_condition(conditions, REPLICA_FAILURE)
    wanted = Condition(REPLICA_FAILURE, failure["status"], failure.get("reason", ""), failure.get("message", ""))
    return set_condition(conditions, wanted, now=now, stamp_updates=True)


def _deadline_of(deployment: Object) -> int | None:
    deadline = deployment["spec"].get("progressDeadlineSeconds", NO_DEADLINE)
    return None if deadline is None or deadline >= NO_DEADLINE else int(deadline)
