"""`events`: what platform and cluster did, oldest first, from the cluster's events, the builds and reconciliations."""

from collections.abc import Mapping
from typing import Any

from towpath.aio.clock import parse_rfc3339
from towpath.kube.errors import ForbiddenError
from towpath.kube.objects import GVK, Object, metadata_of, namespace_of
from towpath.observe.sources import Sources

EVENT = GVK("", "v1", "Event")


async def describe_events(sources: Sources, *, environment: str = "", limit: int = 40) -> dict[str, Any]:
    """The last `limit` events as JSON values. Raises NotFoundError for an unknown environment."""
    names = [environment] if environment else list(sources.reconciler.environments)
    environments = {namespace: name for name in names for namespace in sources.namespaces_of(name)}
    everywhere = not environment and sources.whole_cluster
    events: list[dict[str, Any]] = []
    for namespace in [""] if everywhere else environments:
        events += await _in_namespace(sources, namespace, environments)
    events += _from_builds(sources) if not environment else []
    events += [event for name in names for event in _from_reconciler(sources, name)]
    return {"events": sorted(events, key=lambda event: event["at"])[-limit:]}


async def _in_namespace(sources: Sources, namespace: str, environments: Mapping[str, str]) -> list[dict[str, Any]]:
    try:
        found = (await sources.client.list(EVENT, namespace)).items
    except ForbiddenError as error:  # said among the others, which it must not hide
        return [
            {
                "at": sources.clock.now(),
                "environment": environments.get(namespace, ""),
                "type": "Warning",
                "reason": "EventsNotSeen",
                "object": f"Namespace/{namespace}",
                "message": error.message,
                "count": 1,
            }
        ]
    return [_from_cluster(event, environments) for event in found]


def _from_cluster(event: Object, environments: Mapping[str, str]) -> dict[str, Any]:
    involved = event.get("involvedObject") or {}
    moment = event.get("lastTimestamp") or event.get("eventTime") or metadata_of(event).get("creationTimestamp")
    return {
        "at": parse_rfc3339(moment) if moment else 0.0,
        "environment": environments.get(namespace_of(event), ""),
        "type": event.get("type") or "Normal",
        "reason": event.get("reason") or "",
        "object": f"{involved.get('kind', '')}/{involved.get('name', '')}",
        "message": event.get("message") or "",
        "count": int(event.get("count") or 1),
    }


def _from_builds(sources: Sources) -> list[dict[str, Any]]:
    return [
        {
            "at": report.started_at + report.seconds,
            "environment": "",
            "type": "Warning" if report.error else "Normal",
            "reason": f"Build{report.outcome.value.capitalize()}",
            "object": f"Commit/{report.commit[:7]}",
            "message": report.error
            or ", ".join(f"{service.service} {service.outcome.value}" for service in report.services),
            "count": report.attempt,
        }
        for report in sources.ci.reports()
    ]


def _from_reconciler(sources: Sources, environment: str) -> list[dict[str, Any]]:
    return [
        {
            "at": operation.at,
            "environment": environment,
            "type": "Warning" if operation.result.value == "failed" else "Normal",
            "reason": f"Reconcile{operation.result.value.capitalize()}",
            "object": f"Application/{environment}",
            "message": f"{operation.summary} (trigger: {operation.trigger}, revision {operation.revision[:7]})",
            "count": 1,
        }
        for operation in sources.reconciler.status(environment).operations
    ]
