"""The health of what runs pods: Deployment, ReplicaSet, StatefulSet, DaemonSet, Job.

A rollout that waits is progressing; one whose newest pods fail is degraded, deadline or not: a StatefulSet has none,
and would wait for ever.
"""

from collections.abc import Sequence
from typing import Any

from towpath.kube.health.conditions import condition_text, find_condition, is_true
from towpath.kube.health.pods import explain_pods
from towpath.kube.health.report import Health, HealthReport
from towpath.kube.objects import Object, find_path, name_of


def deployment_health(obj: Object, pods: Sequence[Object]) -> HealthReport:
    """A paused one is suspended; one past its progress deadline is degraded."""
    if find_path(obj, "spec", "paused"):
        return HealthReport(Health.SUSPENDED, "Deployment is paused")
    progressing = find_condition(obj, "Progressing")
    if progressing is not None and progressing.get("reason") == "ProgressDeadlineExceeded":
        why, _ = explain_pods(pods)
        text = f'Deployment "{name_of(obj)}" exceeded its progress deadline'
        return HealthReport(Health.DEGRADED, f"{text}: {why}" if why else text)
    failure = find_condition(obj, "ReplicaFailure")
    if failure is not None and failure.get("status") == "True":
        return HealthReport(Health.DEGRADED, condition_text(failure))
    wanted, status = _wanted(obj), _counts(obj)
    updated, available = status("updatedReplicas"), status("availableReplicas")
    if updated < wanted:
        return _waiting(f"{updated} out of {wanted} new replicas have been updated", pods)
    if status("replicas") > updated:
        return _waiting(f"{status('replicas') - updated} old replicas are pending termination", pods)
    if available < updated:
        return _waiting(f"{available} of {updated} updated replicas are available", pods)
    return HealthReport(Health.HEALTHY)


def replica_set_health(obj: Object, pods: Sequence[Object]) -> HealthReport:
    """All wanted replicas must be available."""
    failure = find_condition(obj, "ReplicaFailure")
    if failure is not None and failure.get("status") == "True":
        return HealthReport(Health.DEGRADED, condition_text(failure))
    wanted, available = _wanted(obj), _counts(obj)("availableReplicas")
    if available < wanted:
        return _waiting(f"{available} out of {wanted} new replicas are available", pods)
    return HealthReport(Health.HEALTHY)


def stateful_set_health(obj: Object, pods: Sequence[Object]) -> HealthReport:
    """All pods ready, and all of those above the partition at the update revision."""
    wanted, status = _wanted(obj), _counts(obj)
    revision = str(find_path(obj, "status", "updateRevision") or "")
    updated = status("updatedReplicas")
    if status("readyReplicas") < wanted:
        return _waiting(f"{wanted - status('readyReplicas')} of {wanted} pods are not ready", pods, revision)
    if find_path(obj, "spec", "updateStrategy", "type") == "OnDelete":
        return HealthReport(Health.HEALTHY)
    partition = find_path(obj, "spec", "updateStrategy", "rollingUpdate", "partition") or 0
    if partition > 0:
        if updated < wanted - partition:
            text = f"{updated} out of {wanted - partition} new pods of the partitioned roll out have been updated"
            return _waiting(text, pods, revision)
        return HealthReport(Health.HEALTHY)
    if revision and revision != find_path(obj, "status", "currentRevision"):
        return _waiting(f"{updated} of {wanted} pods at revision {revision}", pods, revision)
    return HealthReport(Health.HEALTHY)


def daemon_set_health(obj: Object, pods: Sequence[Object]) -> HealthReport:
    """All scheduled pods updated and available."""
    if find_path(obj, "spec", "updateStrategy", "type") == "OnDelete":
        return HealthReport(Health.HEALTHY)
    status = _counts(obj)
    wanted = status("desiredNumberScheduled")
    if status("updatedNumberScheduled") < wanted:
        return _waiting(f"{status('updatedNumberScheduled')} out of {wanted} new pods have been updated", pods)
    if status("numberAvailable") < wanted:
        return _waiting(f"{status('numberAvailable')} of {wanted} updated pods are available", pods)
    return HealthReport(Health.HEALTHY)


def job_health(obj: Object, pods: Sequence[Object]) -> HealthReport:
    """Healthy only when complete: a job that runs has not done its work."""
    failed = find_condition(obj, "Failed")
    if failed is not None and failed.get("status") == "True":
        why, _ = explain_pods(pods)
        return HealthReport(Health.DEGRADED, "; ".join(filter(None, (condition_text(failed), why))))
    if is_true(obj, "Complete"):
        return HealthReport(Health.HEALTHY)
    if is_true(obj, "Suspended") or find_path(obj, "spec", "suspend"):
        return HealthReport(Health.SUSPENDED, "Job is suspended")
    status = _counts(obj)
    wanted = find_path(obj, "spec", "completions") or 1
    text = f"Job is running: {status('active')} active, {status('succeeded')} of {wanted} succeeded"
    if status("failed"):
        text += f", {status('failed')} failed"
    why, fails = explain_pods(pods)
    return HealthReport(Health.DEGRADED if fails and status("active") else Health.PROGRESSING, _joined(text, why))


def _waiting(text: str, pods: Sequence[Object], revision: str = "") -> HealthReport:
    why, fails = explain_pods(pods, revision)
    return HealthReport(
        Health.DEGRADED if fails else Health.PROGRESSING, _joined(f"Waiting for rollout to finish: {text}", why)
    )


def _joined(text: str, why: str) -> str:
    """What a person needs first: the pod's own words, then the count."""
    return f"{why} ({text[:1].lower()}{text[1:]})" if why else text


def _wanted(obj: Object) -> int:
    replicas = find_path(obj, "spec", "replicas")
    return 1 if replicas is None else int(replicas)


def _counts(obj: Object) -> Any:
    """A reader of numbers in the status; what is absent is 0."""
    return lambda name: int(find_path(obj, "status", name) or 0)
