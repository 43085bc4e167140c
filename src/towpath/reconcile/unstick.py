"""Frees StatefulSets whose rollout is blocked by a pod of an older revision that never becomes ready.

With the default pod management policy (OrderedReady) the StatefulSet controller waits for every pod before it replaces
the next, so a broken revision also blocks the one that would mend it: a known trait of Kubernetes, whose documented
remedy is deleting the pod by hand. Pods below a partition and OnDelete sets are left alone: there old pods are meant.
Pure; `application` deletes what this finds.
"""

from collections.abc import Iterable

from towpath.kube.objects import Object, find_path, labels_of, metadata_of, name_of
from towpath.reconcile.health import is_ready, pods_of

_REVISION_LABEL = "controller-revision-hash"


def find_stuck_pods(stateful_set: Object, pods: Iterable[Object]) -> list[Object]:
    """The pods that block the rollout of the desired revision, highest ordinal first."""
    generation = metadata_of(stateful_set).get("generation")
    update = find_path(stateful_set, "status", "updateRevision")
    policy = find_path(stateful_set, "spec", "podManagementPolicy") or "OrderedReady"
    strategy = find_path(stateful_set, "spec", "updateStrategy", "type") or "RollingUpdate"
    observed = find_path(stateful_set, "status", "observedGeneration")
    if not update or observed != generation or policy != "OrderedReady" or strategy != "RollingUpdate":
        return []
    partition = find_path(stateful_set, "spec", "updateStrategy", "rollingUpdate", "partition") or 0
    stuck = [
        pod
        for pod in pods_of(stateful_set, pods)
        if labels_of(pod).get(_REVISION_LABEL, update) != update and not is_ready(pod) and _ordinal(pod) >= partition
    ]
    return sorted(stuck, key=_ordinal, reverse=True)


def _ordinal(pod: Object) -> int:
    text = name_of(pod).rpartition("-")[2]
    return int(text) if text.isdecimal() else -1
