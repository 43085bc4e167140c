"""`status`: what runs where, joined from Git (what was meant), the registry (what was built) and the cluster."""

from typing import Any

from towpath.errors import NotFoundError, TowpathError
from towpath.kube.errors import ApiNotFoundError
from towpath.kube.objects import find_path
from towpath.kube.resources import find_kind
from towpath.observe.sources import Sources
from towpath.oci.tags import sha_tag
from towpath.reconcile.artifacts import Artifact
from towpath.reconcile.status import ApplicationStatus, ServiceStatus
from towpath.source.commits import Commit


async def describe_platform(sources: Sources, *, environment: str = "") -> dict[str, Any]:
    """The whole platform, or one environment of it, as JSON values.

    Raises:
        NotFoundError: no such environment.
    """
    head = await sources.head()
    problem, registry, channel, names = "", "", "", list(sources.reconciler.environments)
    try:
        blueprint = await sources.blueprint()
        if blueprint is not None:
            registry, channel = blueprint.registry, blueprint.channel
            names = sources.environments(blueprint)
    except TowpathError as error:  # a broken blueprint must not hide what runs
        problem = error.diagnostics()
    if environment and environment not in names:
        known = f"there is {', '.join(names)}" if names else "there is none yet"
        raise NotFoundError(f"environment {environment} is not known (NotFound): {known}", hint="towpath status")
    names = [name for name in names if environment in ("", name)]
    statuses = [sources.status_of(name) for name in names]
    return {
        "platform": sources.name,
        "head": _commit(head, sources) if head else None,
        "registry": registry,
        "channel": channel,
        "problem": problem,
        "ci": _ci(sources, head.id if head else ""),
        "environments": [await _environment(sources, status) for status in statuses],
    }


async def _environment(sources: Sources, status: ApplicationStatus) -> dict[str, Any]:
    hold = status.hold
    problems = [problem for problem in (status.problem, status.prune_problem) if problem is not None]
    return {
        "name": status.environment,
        "sync": status.sync.value,
        "sync_message": status.sync_message,
        "health": status.health.value,
        "health_message": status.health_message,
        "revision": status.revision,
        "ready": status.ready,
        "message": "; ".join(problem.message for problem in problems),
        "next": next((problem.hint for problem in problems if problem.hint), ""),
        "hold": {"reason": hold.reason, "by": hold.by, "until": hold.until} if hold else None,
        "services": [await _service(sources, service) for service in status.services.values()],
    }


async def _service(sources: Sources, status: ServiceStatus) -> dict[str, Any]:
    artifact, verdict = status.desired, status.verdict
    commit = await sources.find_commit(artifact.revision) if artifact else None
    return {
        "service": status.service,
        "tag": (sha_tag(artifact.revision) if artifact.revision else artifact.tag) if artifact else "",
        "channel": artifact.channel if artifact else "",
        "digest": artifact.digest if artifact else "",
        "commit": commit.id if commit else "",
        "subject": commit.subject if commit else "",
        "age_seconds": sources.age(verdict.since if verdict else None),
        "ready": status.ready_pods,
        "desired": await _desired_pods(sources, artifact) if artifact else 0,
        "health": status.health.value,
        "message": status.message,
        "verdict": verdict.outcome.value if verdict else "",
        "live_digests": status.live_digests,
    }


async def _desired_pods(sources: Sources, artifact: Artifact) -> int:
    total = 0
    for key in artifact.workloads:
        resource = find_kind(key.group, key.kind)
        if resource is None:
            continue
        try:
            workload = await sources.client.get(resource.gvk, key.name, key.namespace)
        except ApiNotFoundError:
            continue  # not created yet
        replicas = find_path(workload, "spec", "replicas")
        total += 1 if replicas is None else int(replicas)
    return total


def _commit(commit: Commit, sources: Sources) -> dict[str, Any]:
    return {"commit": commit.id, "subject": commit.subject, "age_seconds": sources.age(commit.committed_at)}


def _ci(sources: Sources, head: str) -> dict[str, Any]:
    report = sources.ci.find_report(head) if head else None
    return {
        "commit": head,
        "outcome": report.outcome.value if report else "",
        "message": report.error if report else "",
        "report": report.to_json() if report else None,
    }
