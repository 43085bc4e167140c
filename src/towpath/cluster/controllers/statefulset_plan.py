"""What a StatefulSet does next with its pods, and what its status says. Pure; `stateful_set_control.go` is the measure.

    1. every ordinal that should exist and does not is made, lowest first; a finished pod is replaced
    2. pods beyond the range go, highest first
    3. pods of another revision go, highest first, down to the partition

With OrderedReady each step waits until all pods below are ready: therefore a pod of a bad revision that never becomes
ready blocks even the way back to a good one. Whoever writes the good one has to delete that pod; this plan never does.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from towpath.cluster.controllers.deployment_plan import resolve_share
from towpath.cluster.controllers.ownership import is_terminating
from towpath.cluster.controllers.pods import (
    is_available,
    is_finished,
    is_running_and_ready,
    prepare_pod,
    seconds_until_available,
)
from towpath.cluster.controllers.replicaset_plan import min_ready_seconds_of, wanted_replicas
from towpath.cluster.controllers.statefulset_revisions import REVISION_LABEL, revision_name_of, template_of
from towpath.cluster.controllers.status import prepare_status
from towpath.kube.objects import Object, find_path, labels_of, metadata_of, name_of

POD_NAME_LABEL = "statefulset.kubernetes.io/pod-name"
POD_INDEX_LABEL = "apps.kubernetes.io/pod-index"


@dataclass(frozen=True, slots=True)
class StatefulSetPlan:
    """The pods to create, to delete and to relabel in this round, and seconds until time alone allows the next."""

    create: list[Object] = field(default_factory=list)
    delete: list[Object] = field(default_factory=list)
    relabel: list[Object] = field(default_factory=list)
    recheck_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Fleet:
    """A StatefulSet with its pods and the two revisions it is between."""

    statefulset: Object
    pods: Sequence[Object]
    current: Object
    update: Object
    now: float

    @property
    def is_ordered(self) -> bool:
        """OrderedReady (the default), not Parallel."""
        return bool(find_path(self.statefulset, "spec", "podManagementPolicy") != "Parallel")

    @property
    def ordinals(self) -> range:
        """The ordinals that should exist."""
        start = int(find_path(self.statefulset, "spec", "ordinals", "start") or 0)
        return range(start, start + wanted_replicas(self.statefulset))

    @property
    def partition(self) -> int:
        """The lowest ordinal that is updated."""
        rolling = find_path(self.statefulset, "spec", "updateStrategy", "rollingUpdate") or {}
        return self.ordinals.start + int(rolling.get("partition") or 0)

    @property
    def is_rolling(self) -> bool:
        """RollingUpdate (the default), not OnDelete."""
        return bool(find_path(self.statefulset, "spec", "updateStrategy", "type") != "OnDelete")

    def wait_of(self, pod: Object) -> float | None:
        """0 when the pod counts as available, seconds when time will do, None when it has to become ready first."""
        if is_terminating(pod) or not is_running_and_ready(pod):
            return None
        return seconds_until_available(pod, min_ready_seconds=min_ready_seconds_of(self.statefulset), now=self.now)


def ordinal_of(statefulset: Object, pod_name: str) -> int | None:
    """The ordinal in a pod's name, or None if it is not a name of this set."""
    match = re.fullmatch(re.escape(name_of(statefulset)) + r"-(0|[1-9]\d*)", pod_name)
    return int(match[1]) if match else None


def plan_pods(fleet: Fleet) -> StatefulSetPlan:
    """The next step."""
    plan = StatefulSetPlan()
    if is_terminating(fleet.statefulset):
        return plan
    by_ordinal = {ordinal_of(fleet.statefulset, name_of(pod)): pod for pod in fleet.pods}
    replicas = {ordinal: by_ordinal.get(ordinal) for ordinal in fleet.ordinals}
    condemned = [
        pod
        for ordinal, pod in sorted(((o, p) for o, p in by_ordinal.items() if o is not None), reverse=True)
        if ordinal not in fleet.ordinals
    ]
    present = {ordinal: pod for ordinal, pod in replicas.items() if pod is not None}
    if _fill(fleet, replicas, plan) and _shrink(fleet, present, condemned, plan) and fleet.is_rolling:
        _update(fleet, present, plan)
    return replace(plan, recheck_seconds=_recheck(fleet))


def plan_status(fleet: Fleet) -> dict[str, Any]:
    """The status, counted over the pods that exist."""
    status: dict[str, Any] = {
        "observedGeneration": metadata_of(fleet.statefulset).get("generation", 0),
        "replicas": len(fleet.pods),
        "readyReplicas": sum(is_running_and_ready(pod) for pod in fleet.pods),
        "availableReplicas": sum(
            is_running_and_ready(pod)
            and is_available(pod, min_ready_seconds=min_ready_seconds_of(fleet.statefulset), now=fleet.now)
            for pod in fleet.pods
        ),
        "currentReplicas": _count(fleet, name_of(fleet.current)),
        "updatedReplicas": _count(fleet, name_of(fleet.update)),
        "currentRevision": name_of(fleet.current),
        "updateRevision": name_of(fleet.update),
        "collisionCount": find_path(fleet.statefulset, "status", "collisionCount"),
    }
    # The roll-out is over when all replicas are of the new revision and ready: it becomes the current one.
    wanted = wanted_replicas(fleet.statefulset)
    if fleet.is_rolling and status["updatedReplicas"] == status["readyReplicas"] == status["replicas"] == wanted:
        status["currentRevision"] = status["updateRevision"]
        status["currentReplicas"] = status["updatedReplicas"]
    return prepare_status(status, kept=("replicas", "availableReplicas"))


def identity_labels(pod_name: str, ordinal: int) -> dict[str, str]:
    """The labels by which a Service or a person finds one member."""
    return {POD_NAME_LABEL: pod_name, POD_INDEX_LABEL: str(ordinal)}


def prepare_member(fleet: Fleet, ordinal: int) -> Object:
    """The pod of an ordinal, of the revision that ordinal should have."""
    keeps_current = fleet.is_rolling and ordinal < fleet.partition
    revision = fleet.current if keeps_current else fleet.update
    name = f"{name_of(fleet.statefulset)}-{ordinal}"
    labels = {**identity_labels(name, ordinal), REVISION_LABEL: name_of(revision)}
    pod = prepare_pod(fleet.statefulset, template_of(revision), name, labels=labels)
    pod["spec"]["hostname"] = name
    subdomain = find_path(fleet.statefulset, "spec", "serviceName")
    if subdomain:
        pod["spec"]["subdomain"] = subdomain
    return pod


# The steps; the first two return whether the next may follow in this round.


def _fill(fleet: Fleet, replicas: dict[int, Object | None], plan: StatefulSetPlan) -> bool:
    complete = True
    for ordinal, pod in replicas.items():
        if pod is None:
            plan.create.append(prepare_member(fleet, ordinal))
        elif is_finished(pod):
            if not is_terminating(pod):
                plan.delete.append(pod)
        elif fleet.wait_of(pod) == 0 or not fleet.is_ordered:
            if not identity_labels(name_of(pod), ordinal).items() <= labels_of(pod).items():
                plan.relabel.append(pod)
            continue
        complete = False
        if fleet.is_ordered:
            break
    return complete


def _shrink(fleet: Fleet, present: dict[int, Object], condemned: Sequence[Object], plan: StatefulSetPlan) -> bool:
    # A broken pod may go while others wait for it, but only the first broken one: it may be what all wait for.
    lowest_first = [*present.values(), *reversed(condemned)]
    broken = next((pod for pod in lowest_first if fleet.wait_of(pod) is None), None)
    for pod in condemned:
        may_go = not fleet.is_ordered or fleet.wait_of(pod) == 0 or pod is broken
        if not is_terminating(pod) and may_go:
            plan.delete.append(pod)
        if fleet.is_ordered:
            return False
    return True


def _update(fleet: Fleet, present: dict[int, Object], plan: StatefulSetPlan) -> None:
    rolling = find_path(fleet.statefulset, "spec", "updateStrategy", "rollingUpdate") or {}
    # One, the default, is the plan without a budget: that one also replaces a pod that is broken already.
    is_budgeted = rolling.get("maxUnavailable") not in {None, 1}
    budget = 1
    if is_budgeted:
        allowed = resolve_share(rolling["maxUnavailable"], len(fleet.ordinals), round_up=True)
        budget = max(1, allowed) - sum(fleet.wait_of(pod) != 0 for pod in present.values())
    for ordinal in sorted(present, reverse=True):
        pod = present[ordinal]
        if ordinal < fleet.partition or budget <= 0:
            return
        if revision_name_of(pod) != name_of(fleet.update) and not is_terminating(pod):
            plan.delete.append(pod)
            budget -= 1
        elif fleet.wait_of(pod) != 0 and not is_budgeted:
            return


def _recheck(fleet: Fleet) -> float | None:
    waits = [fleet.wait_of(pod) for pod in fleet.pods]
    return min((wait for wait in waits if wait), default=None)


def _count(fleet: Fleet, revision: str) -> int:
    return sum(revision_name_of(pod) == revision and not is_terminating(pod) for pod in fleet.pods)
