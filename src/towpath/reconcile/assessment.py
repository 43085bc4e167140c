"""From the watched objects to the health of an application, its resources and its services. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from towpath.kube.health import Health, HealthReport
from towpath.kube.objects import Object, ObjectKey
from towpath.reconcile.artifacts import Artifact
from towpath.reconcile.changes import Action, Change, ChangeSet
from towpath.reconcile.desired import Desired
from towpath.reconcile.health import PodFacts, ResourceHealth, assess_resource, overall, pod_facts
from towpath.reconcile.status import ResourceStatus, ServiceStatus, Sync
from towpath.reconcile.verdicts import Observation

Find = Callable[[ObjectKey], Object | None]
Pods = Callable[[str], Sequence[Object]]
FINE = frozenset({Health.HEALTHY, Health.SUSPENDED})


@dataclass(frozen=True, slots=True)
class Assessment:
    """How an application fares."""

    resources: tuple[ResourceStatus, ...]
    services: dict[str, ServiceStatus]
    health: HealthReport

    @property
    def is_fine(self) -> bool:
        """Whether nothing is missing, progressing or degraded."""
        return self.health.status in FINE

    def are_fine(self, keys: Iterable[ObjectKey]) -> bool:
        """Whether these objects are healthy."""
        status = {resource.key: resource.health for resource in self.resources}
        return all(status.get(key, Health.UNKNOWN) in FINE for key in keys)


def assess_application(
    desired: Desired,
    change_set: ChangeSet,
    *,
    find: Find,
    pods: Pods,
    pending: Iterable[ObjectKey],
    late_after_seconds: float | None = None,
) -> Assessment:
    """Judge everything an application consists of.

    Args:
        desired: what it is to be.
        change_set: the last plan; its skipped objects are reported but not judged.
        find: the live object of a key.
        pods: the pods of a namespace.
        pending: objects known to differ from what is desired.
        late_after_seconds: the progress deadline, if it has passed: what is still progressing is then degraded.
    """
    unsettled = set(pending)
    healths = {
        change.key: _late(assess_resource(change.key, find(change.key), pods(change.key.namespace)), late_after_seconds)
        for change in change_set.changes
        if change.action is not Action.PRUNED and change.action is not Action.SKIPPED
    }
    resources = tuple(
        _resource(change, healths.get(change.key), is_pending=change.key in unsettled)
        for change in change_set.changes
        if change.action is not Action.PRUNED or change.key in unsettled
    )
    services = {
        artifact.service: _service(artifact, healths, find=find, pods=pods) for artifact in desired.artifacts.values()
    }
    for key, names in desired.not_promoted.items():
        for name in names:
            message = f"not promoted yet: {key} is left out"
            services.setdefault(name, ServiceStatus(name, None, Health.MISSING, message))
    return Assessment(resources, services, overall(healths.values()))


def observations(assessment: Assessment, environment: str) -> list[Observation]:
    """What the assessment proves about each release, for its verdict."""
    return [
        Observation(
            environment=environment,
            service=name,
            digest=service.desired.digest,
            tag=service.desired.tag,
            revision=service.desired.revision,
            healthy_since=_healthy_since(service),
            degraded=service.health is Health.DEGRADED,
            message=service.message,
        )
        for name, service in assessment.services.items()
        if service.desired is not None
    ]


def _late(health: ResourceHealth, after_seconds: float | None) -> ResourceHealth:
    if after_seconds is None or health.status is not Health.PROGRESSING:
        return health
    return ResourceHealth(health.key, Health.DEGRADED, f"not ready after {after_seconds:g} s: {health.message}")


def _healthy_since(service: ServiceStatus) -> float | None:
    moments = [facts.healthy_since for facts in service.pods]
    if service.health is not Health.HEALTHY or not moments or None in moments:
        return None
    return max(moment for moment in moments if moment is not None)


def _resource(change: Change, health: ResourceHealth | None, *, is_pending: bool) -> ResourceStatus:
    sync = Sync.OUT_OF_SYNC if is_pending else Sync.SYNCED
    if health is None:
        sync = sync if change.action is Action.PRUNED else Sync.UNKNOWN
        return ResourceStatus(change.key, change.action, sync, Health.UNKNOWN, change.reason)
    return ResourceStatus(change.key, change.action, sync, health.status, health.message or change.reason)


def _service(
    artifact: Artifact, healths: Mapping[ObjectKey, ResourceHealth], *, find: Find, pods: Pods
) -> ServiceStatus:
    own = [healths[key] for key in artifact.workloads if key in healths]
    facts: list[PodFacts] = []
    for key in artifact.workloads:
        live = find(key)
        if live is not None:
            facts.append(pod_facts(live, pods(key.namespace), {artifact.digest}))
    report = overall(own) if own else HealthReport(Health.MISSING, "no workload of it is managed here")
    return ServiceStatus(artifact.service, artifact, report.status, report.message, tuple(facts))
