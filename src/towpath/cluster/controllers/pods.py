"""What the controllers read from a pod, and how a pod is made from a template.

Pure. The words are upstream's: active (neither finished nor terminating), ready (the Ready condition), available (ready
for at least `minReadySeconds`).
"""

import copy
from typing import Any

from towpath.aio.clock import parse_rfc3339
from towpath.cluster.controllers.conditions import find_condition
from towpath.cluster.controllers.ownership import is_terminating, prepare_owner_reference
from towpath.kube.objects import GVK, Object, find_path, metadata_of, namespace_of

POD = GVK("", "v1", "Pod")

# 58: upstream cuts the base of a generated name there, so that base and suffix fit a 63 character host name.
MAX_BASE = 58


def phase_of(pod: Object) -> str:
    """`status.phase`; a pod that nobody has looked at yet is Pending."""
    return str(find_path(pod, "status", "phase") or "Pending")


def is_finished(pod: Object) -> bool:
    """Whether all its containers have ended for good."""
    return phase_of(pod) in {"Succeeded", "Failed"}


def is_active(pod: Object) -> bool:
    """Whether it counts as a replica: not finished and not being deleted."""
    return not is_finished(pod) and not is_terminating(pod)


def ready_since(pod: Object) -> float | None:
    """When the Ready condition became true, in epoch seconds, or None if it is not."""
    condition = find_condition(find_path(pod, "status", "conditions") or [], "Ready")
    if condition is None or condition.get("status") != "True":
        return None
    return _time_of(condition.get("lastTransitionTime"))


def is_ready(pod: Object) -> bool:
    """Whether the Ready condition is true."""
    return ready_since(pod) is not None


def is_running_and_ready(pod: Object) -> bool:
    """What a StatefulSet waits for."""
    return phase_of(pod) == "Running" and is_ready(pod)


def seconds_until_available(pod: Object, *, min_ready_seconds: int, now: float) -> float | None:
    """0 if it is available, the time still missing if it is ready, None if it is not even ready."""
    since = ready_since(pod)
    if since is None:
        return None
    return max(0.0, since + min_ready_seconds - now) if min_ready_seconds else 0.0


def is_available(pod: Object, *, min_ready_seconds: int, now: float) -> bool:
    """Whether it has been ready for at least `min_ready_seconds`."""
    return seconds_until_available(pod, min_ready_seconds=min_ready_seconds, now=now) == 0


def created_at(obj: Object) -> float:
    """`metadata.creationTimestamp` in epoch seconds."""
    return _time_of(metadata_of(obj).get("creationTimestamp"))


def restarts_of(pod: Object) -> int:
    """The restarts of all its containers."""
    statuses: list[dict[str, Any]] = [
        *(find_path(pod, "status", "initContainerStatuses") or []),
        *(find_path(pod, "status", "containerStatuses") or []),
    ]
    return sum(int(status.get("restartCount") or 0) for status in statuses)


def prepare_pod(owner: Object, template: dict[str, Any], name: str, *, labels: dict[str, str] | None = None) -> Object:
    """A pod of `template`, controlled by `owner`, with `labels` laid over the template's."""
    metadata = template.get("metadata") or {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace_of(owner),
            "labels": {**(metadata.get("labels") or {}), **(labels or {})},
            **({"annotations": dict(metadata["annotations"])} if metadata.get("annotations") else {}),
            **({"finalizers": list(metadata["finalizers"])} if metadata.get("finalizers") else {}),
            "ownerReferences": [prepare_owner_reference(owner)],
        },
        "spec": copy.deepcopy(template.get("spec") or {}),
    }


def prepare_generated_pod(
    owner: Object, template: dict[str, Any], *, base: str, suffix: str, labels: dict[str, str] | None = None
) -> Object:
    """A pod named `<base>-<suffix>`, with the `generateName` it would have had from the server."""
    prefix = f"{base}-"[:MAX_BASE]
    pod = prepare_pod(owner, template, prefix + suffix, labels=labels)
    pod["metadata"]["generateName"] = prefix
    return pod


def _time_of(text: Any) -> float:
    return parse_rfc3339(text) if text else 0.0
