"""The health of a pod, and why a failing pod fails.

A container that waits for `ErrImagePull`, `CrashLoopBackOff` or any other reason that is an error makes the pod
degraded, whatever its phase says: phases stay `Pending` or `Running` through both.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from towpath.kube.health.conditions import condition_text, find_condition, is_true
from towpath.kube.health.report import Health, HealthReport
from towpath.kube.objects import Object, find_path, labels_of, metadata_of, name_of

_REVISION_LABELS = ("controller-revision-hash", "pod-template-hash")


def pod_health(pod: Object) -> HealthReport:
    """The verdict on a pod."""
    failure = find_failure(pod)
    if failure:
        return HealthReport(Health.DEGRADED, failure)
    match find_path(pod, "status", "phase"):
        case "Succeeded":
            return HealthReport(Health.HEALTHY, find_path(pod, "status", "message") or "")
        case "Running" if find_path(pod, "spec", "restartPolicy") in {None, "Always"}:
            return _running(pod)
        case "Running":
            return HealthReport(Health.PROGRESSING, "running; it is done when its containers end")
        case _:
            return HealthReport(Health.PROGRESSING, _pending(pod))


def find_failure(pod: Object) -> str:
    """Why a pod fails, or the empty string if it does not."""
    for name, status in _containers(pod):
        waiting = (status.get("state") or {}).get("waiting") or {}
        if is_failure(str(waiting.get("reason") or "")):
            return _container_text(name, waiting, status, single=_is_single(pod))
    if find_path(pod, "status", "phase") != "Failed":
        return ""
    reason, message = find_path(pod, "status", "reason"), find_path(pod, "status", "message")
    if reason or message:
        return ": ".join(part for part in (reason, message) if part)
    ends = [_end_text(name, status) for name, status in _containers(pod)]
    return "; ".join(filter(None, ends)) or "the pod failed"


def is_failure(reason: str) -> bool:
    """Whether a waiting reason is an error: `ErrImagePull`, `CreateContainerConfigError`, `CrashLoopBackOff`."""
    return reason.startswith("Err") or reason.endswith(("Error", "BackOff", "InvalidImageName"))


def explain_pods(pods: Sequence[Object], revision: str = "") -> tuple[str, bool]:
    """Why a workload's pods do not get ready: a text naming the first pod that says why, and whether it fails.

    Only pods of the newest revision count as failing: those of an older one are about to be replaced, and are named
    only if no newer pod has anything to say.
    """
    newest = [pod for pod in pods if _is_newest(pod, pods, revision)]
    ordered = sorted(newest, key=name_of)
    for pod in ordered:
        failure = find_failure(pod)
        if failure:
            return f"pod {name_of(pod)}: {failure}", True
    for pod in ordered:
        report = pod_health(pod)
        if report.status is not Health.HEALTHY and report.message:
            return f"pod {name_of(pod)}: {report.message}", False  # restarted, but it may get ready yet
    for pod in sorted((pod for pod in pods if pod not in newest), key=name_of):
        failure = find_failure(pod)
        if failure:
            return f"pod {name_of(pod)} of an older revision: {failure}", False
    return "", False


def _is_newest(pod: Object, pods: Sequence[Object], revision: str) -> bool:
    """Whether a pod is of the revision that is rolled out: the named one, or that of the pod created last."""
    label = next((label for label in _REVISION_LABELS if label in labels_of(pod)), "")
    if not label:
        return True
    if revision:
        return labels_of(pod)[label] == revision
    last = max(pods, key=lambda other: str(metadata_of(other).get("creationTimestamp") or ""))
    return labels_of(pod)[label] == labels_of(last).get(label)


def _running(pod: Object) -> HealthReport:
    if is_true(pod, "Ready"):
        return HealthReport(Health.HEALTHY)
    for name, status in _containers(pod):
        last = (status.get("lastState") or {}).get("terminated")
        if last and not status.get("ready"):
            return HealthReport(Health.DEGRADED, f"container {name} restarted: {_exit_text(last)}")
    unready = [name for name, status in _containers(pod) if not status.get("ready") and not _is_done(status)]
    if unready:
        listed = ", ".join(unready)
        return HealthReport(Health.PROGRESSING, f"container {listed} is running but not ready yet")
    return HealthReport(Health.PROGRESSING, condition_text(find_condition(pod, "Ready")) or "not ready yet")


def _pending(pod: Object) -> str:
    scheduled = find_condition(pod, "PodScheduled")
    if scheduled is not None and scheduled.get("status") == "False":
        return condition_text(scheduled)
    for name, status in _containers(pod):
        waiting = (status.get("state") or {}).get("waiting") or {}
        if waiting.get("reason"):
            return f"container {name}: {condition_text(waiting)}"
    return find_path(pod, "status", "message") or "the pod has not started"


def _containers(pod: Object) -> Iterator[tuple[str, dict[str, Any]]]:
    for field in ("initContainerStatuses", "containerStatuses"):
        for status in find_path(pod, "status", field) or []:
            yield str(status.get("name") or ""), status


def _is_single(pod: Object) -> bool:
    return len(list(_containers(pod))) == 1


def _is_done(status: dict[str, Any]) -> bool:
    return "terminated" in (status.get("state") or {})


def _container_text(name: str, waiting: dict[str, Any], status: dict[str, Any], *, single: bool) -> str:
    text = condition_text(waiting)
    last = (status.get("lastState") or {}).get("terminated")
    if last:
        text += f" (last exit: {_exit_text(last)})"
    return text if single else f"container {name}: {text}"


def _end_text(name: str, status: dict[str, Any]) -> str:
    end = (status.get("state") or {}).get("terminated")
    return f"container {name} failed: {_exit_text(end)}" if end and end.get("exitCode") else ""


def _exit_text(end: dict[str, Any]) -> str:
    """`exit code 137, OOMKilled`, with the last words of the container if it left any."""
    code = end.get("exitCode")
    reason = str(end.get("reason") or "")
    parts = [f"exit code {code}" if code is not None else "", reason if reason not in {"Error", "Completed"} else ""]
    text = ", ".join(filter(None, parts)) or "ended"
    message = str(end.get("message") or "").strip()
    return f"{text}: {message}" if message else text
