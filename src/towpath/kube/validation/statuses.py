"""Rules for what is written through `/status`: counts that cannot be, verdicts that are taken back.

As upstream, a status is checked when it is written and the rest of the object is not checked again then. Rules about
what changed compare with the stored object, so that a status which breaks a rule already may be written on.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from towpath.kube.objects import Object, find_path, gvk_of
from towpath.kube.validation.causes import Cause, Causes
from towpath.kube.validation.jobs import validate_job_status
from towpath.kube.validation.metadata import validate_immutable, validate_metadata

Fields: TypeAlias = dict[str, Any]

# The counts of each kind; those of the second group are parts of `replicas`.
_COUNTS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = MappingProxyType(
    {
        "Deployment": (
            ("observedGeneration", "replicas", "unavailableReplicas", "terminatingReplicas", "collisionCount"),
            ("updatedReplicas", "readyReplicas", "availableReplicas"),
        ),
        "ReplicaSet": (
            ("observedGeneration", "replicas", "terminatingReplicas"),
            ("fullyLabeledReplicas", "readyReplicas", "availableReplicas"),
        ),
        "StatefulSet": (
            ("observedGeneration", "replicas", "collisionCount"),
            ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"),
        ),
    }
)


def validate_status(obj: Object, *, old: Object) -> list[Cause]:
    """The causes of a 422 for a status that is to replace the stored object's."""
    causes = Causes()
    validate_metadata(obj, causes)
    gvk = gvk_of(obj)
    rule = _RULES.get((gvk.group, gvk.kind))
    if rule is not None:
        rule(obj, old, causes)
    return causes.found


def _status(obj: Object) -> Fields:
    status = obj.get("status")
    return status if isinstance(status, dict) else {}


def _workload(obj: Object, old: Object, causes: Causes) -> None:
    status, before = _status(obj), _status(old)
    counts, parts = _COUNTS[gvk_of(obj).kind]
    for name in (*counts, *parts):
        causes.at_least(f"status.{name}", status.get(name))
    for name in parts:
        if status.get(name, 0) > status.get("replicas", 0):
            causes.invalid(f"status.{name}", status.get(name, 0), "cannot be greater than status.replicas")
    if status.get("availableReplicas", 0) > status.get("readyReplicas", 0):
        count = status.get("availableReplicas", 0)
        causes.invalid("status.availableReplicas", count, "cannot be greater than readyReplicas")
    if "collisionCount" in counts and "collisionCount" in before:
        count = status.get("collisionCount", 0)
        if count < before["collisionCount"]:
            causes.invalid("status.collisionCount", count, "cannot be decremented")


def _pod(obj: Object, old: Object, causes: Causes) -> None:
    status, before = _status(obj), _status(old)
    causes.at_least("status.observedGeneration", status.get("observedGeneration"))
    if "qosClass" in before:
        validate_immutable(before["qosClass"], status.get("qosClass"), "status.qosClass", causes)
    policy = find_path(old, "spec", "restartPolicy") or "Always"
    if policy == "Always":
        return
    ended = {
        one["name"]: find_path(one, "state", "terminated", "exitCode")
        for one in before.get("containerStatuses") or []
        if find_path(one, "state", "terminated") is not None
    }
    for index, one in enumerate(status.get("containerStatuses") or []):
        runs_again = one.get("name") in ended and find_path(one, "state", "terminated") is None
        if runs_again and (policy == "Never" or not ended[one["name"]]):
            causes.forbidden(
                f"status.containerStatuses[{index}].state", "may not be transitioned to non-terminated state"
            )


def _namespace(obj: Object, old: Object, causes: Causes) -> None:
    deleted = bool(find_path(old, "metadata", "deletionTimestamp"))
    wanted, state = ("Terminating", "not empty") if deleted else ("Active", "empty")
    phase = _status(obj).get("phase", "")
    if phase != wanted:
        causes.invalid("status.Phase", phase, f"may only be '{wanted}' if `deletionTimestamp` is {state}")


def _service(obj: Object, old: Object, causes: Causes) -> None:
    del old
    if find_path(obj, "status", "loadBalancer", "ingress") and find_path(obj, "spec", "type") != "LoadBalancer":
        causes.forbidden("status.loadBalancer.ingress", "may only be used when `spec.type` is 'LoadBalancer'")


_RULES: Mapping[tuple[str, str], Callable[[Object, Object, Causes], None]] = MappingProxyType(
    {
        ("", "Namespace"): _namespace,
        ("", "Pod"): _pod,
        ("", "Service"): _service,
        ("apps", "Deployment"): _workload,
        ("apps", "ReplicaSet"): _workload,
        ("apps", "StatefulSet"): _workload,
        ("batch", "Job"): validate_job_status,
    }
)
