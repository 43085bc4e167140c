"""How healthy an application is, and what its pods prove.

`kube.health` judges each object, in its pods' own words; here the pods are found and the verdicts joined. Pure.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from towpath.aio.clock import parse_rfc3339
from towpath.kube.health import Health, HealthReport, assess, worst
from towpath.kube.objects import Object, ObjectKey, find_path, labels_of, metadata_of
from towpath.kube.selectors import LabelSelector
from towpath.render.images import find_images


@dataclass(frozen=True, slots=True)
class ResourceHealth:
    """One object's health."""

    key: ObjectKey
    status: Health
    message: str = ""


@dataclass(frozen=True, slots=True)
class PodFacts:
    """What the pods of one workload prove.

    Attributes:
        ready: how many pods of the desired revision are ready.
        total: how many pods there are, of any revision.
        digests: of the images they run, with how many pods each.
        healthy_since: the latest moment a container started or a pod turned ready, in seconds since the epoch; None if
            a pod is not ready, or says no time. Before it, health was interrupted.
    """

    ready: int = 0
    total: int = 0
    digests: tuple[tuple[str, int], ...] = ()
    healthy_since: float | None = None


def assess_resource(key: ObjectKey, live: Object | None, pods: Sequence[Object]) -> ResourceHealth:
    """The health of one desired object; `pods` are those of its namespace."""
    report = assess(live, pods=pods_of(live, pods)) if live is not None else assess(None)
    return ResourceHealth(key, report.status, report.message)


def overall(resources: Iterable[ResourceHealth]) -> HealthReport:
    """The worst of them, in its words."""
    found = list(resources)
    status = worst(resource.status for resource in found)
    named = next((resource for resource in found if resource.status is status and resource.message), None)
    if status is Health.HEALTHY or named is None:
        return HealthReport(status, "")
    return HealthReport(status, f"{named.key}: {named.message}")


def pods_of(workload: Object, pods: Iterable[Object]) -> list[Object]:
    """The pods a workload's selector matches, those that are ending left out."""
    selector = find_path(workload, "spec", "selector")
    if not isinstance(selector, dict):
        return []
    parsed = LabelSelector.of(selector)
    return [pod for pod in pods if parsed.matches(labels_of(pod)) and "deletionTimestamp" not in metadata_of(pod)]


def pod_facts(workload: Object, pods: Iterable[Object], digests: Collection[str]) -> PodFacts:
    """What its pods prove about an artifact that has one of these digests (image names with `@sha256:…` are read)."""
    matching = pods_of(workload, pods)
    counted: dict[str, int] = {}
    for pod in matching:
        for digest in sorted(_digests(pod)):
            counted[digest] = counted.get(digest, 0) + 1
    current = [pod for pod in matching if _digests(pod) & set(digests)]
    ready = [pod for pod in current if is_ready(pod)]
    since = [moment for pod in ready for moment in _moments(pod)]
    unbroken = bool(ready) and len(ready) == len(matching)
    return PodFacts(len(ready), len(matching), tuple(counted.items()), max(since) if unbroken and since else None)


def is_ready(pod: Object) -> bool:
    """Whether the pod's Ready condition is true."""
    return any(
        condition.get("type") == "Ready" and condition.get("status") == "True"
        for condition in find_path(pod, "status", "conditions") or []
    )


def _digests(pod: Object) -> set[str]:
    return {image.rpartition("@")[2] for image in (use.image for use in find_images([pod])) if "@" in image}


def _moments(pod: Object) -> list[float]:
    moments = [
        str(condition.get("lastTransitionTime") or "")
        for condition in find_path(pod, "status", "conditions") or []
        if condition.get("type") == "Ready"
    ]
    moments += [
        str(find_path(status, "state", "running", "startedAt") or "")
        for status in find_path(pod, "status", "containerStatuses") or []
    ]
    return [parse_rfc3339(moment) for moment in moments if moment]
