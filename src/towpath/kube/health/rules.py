"""Which rule holds for which kind, and what holds for all."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

from towpath.kube.health.conditions import condition_text, find_condition, is_true
from towpath.kube.health.pods import pod_health
from towpath.kube.health.report import Health, HealthReport
from towpath.kube.health.workloads import (
    daemon_set_health,
    deployment_health,
    job_health,
    replica_set_health,
    stateful_set_health,
)
from towpath.kube.objects import Object, find_path, gvk_of, metadata_of

Rule: TypeAlias = Callable[[Object, Sequence[Object]], HealthReport]


def assess(obj: Object | None, *, pods: Sequence[Object] = ()) -> HealthReport:
    """The verdict on an object. `pods` are those it owns, for workloads; None means it is not in the cluster."""
    if not obj:
        return HealthReport(Health.MISSING, "not in the cluster")
    common = _common(obj)
    if common is not None:
        return common
    gvk = gvk_of(obj)
    rule = _RULES.get((gvk.group, gvk.kind))
    return rule(obj, pods) if rule is not None else _by_ready_condition(obj)


def _common(obj: Object) -> HealthReport | None:
    metadata = metadata_of(obj)
    if metadata.get("deletionTimestamp"):
        finalizers = ", ".join(metadata.get("finalizers") or [])
        return HealthReport(
            Health.PROGRESSING, "Pending deletion" + (f" (finalizers: {finalizers})" if finalizers else "")
        )
    observed = find_path(obj, "status", "observedGeneration")
    generation = metadata.get("generation")
    if generation and (observed is not None or gvk_of(obj).kind in _COUNTING) and (observed or 0) < generation:
        return HealthReport(
            Health.PROGRESSING, f"Waiting for generation {generation} to be observed, {observed or 0} is so far"
        )
    if is_true(obj, "Stalled"):
        return HealthReport(Health.DEGRADED, condition_text(find_condition(obj, "Stalled")))
    if is_true(obj, "Reconciling"):
        return HealthReport(Health.PROGRESSING, condition_text(find_condition(obj, "Reconciling")))
    return None


def _by_ready_condition(obj: Object, _pods: Sequence[Object] = ()) -> HealthReport:
    ready = find_condition(obj, "Ready")
    if ready is None or ready.get("status") == "True":
        return HealthReport(Health.HEALTHY)
    return HealthReport(Health.PROGRESSING, condition_text(ready) or "not ready")


def _pod(obj: Object, _pods: Sequence[Object]) -> HealthReport:
    return pod_health(obj)


def _service(obj: Object, _pods: Sequence[Object]) -> HealthReport:
    waits = find_path(obj, "spec", "type") == "LoadBalancer" and not find_path(obj, "status", "loadBalancer", "ingress")
    return (
        HealthReport(Health.PROGRESSING, "the load balancer has no address yet")
        if waits
        else HealthReport(Health.HEALTHY)
    )


def _claim(obj: Object, _pods: Sequence[Object]) -> HealthReport:
    match phase := str(find_path(obj, "status", "phase") or "Pending"):
        case "Bound":
            return HealthReport(Health.HEALTHY)
        case "Lost":
            return HealthReport(Health.DEGRADED, "the volume is lost")
        case _:
            return HealthReport(Health.PROGRESSING, f"the claim is {phase}")


def _definition(obj: Object, _pods: Sequence[Object]) -> HealthReport:
    for name in ("NamesAccepted", "Established"):
        condition = find_condition(obj, name)
        if condition is not None and condition.get("status") == "False" and condition.get("reason") != "Installing":
            return HealthReport(Health.DEGRADED, condition_text(condition))
    if is_true(obj, "Established"):
        return HealthReport(Health.HEALTHY)
    return HealthReport(Health.PROGRESSING, "the definition is not established yet")


_COUNTING = frozenset({"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"})  # always report observedGeneration
_RULES: Mapping[tuple[str, str], Rule] = MappingProxyType(
    {
        ("", "Pod"): _pod,
        ("", "Service"): _service,
        ("", "PersistentVolumeClaim"): _claim,
        ("apps", "Deployment"): deployment_health,
        ("apps", "ReplicaSet"): replica_set_health,
        ("apps", "StatefulSet"): stateful_set_health,
        ("apps", "DaemonSet"): daemon_set_health,
        ("batch", "Job"): job_health,
        ("apiextensions.k8s.io", "CustomResourceDefinition"): _definition,
    }
)
