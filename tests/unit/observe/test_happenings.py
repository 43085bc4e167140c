"""What happened, from three sources, in one order."""

from dataclasses import replace

import pytest

from fakes.clock import START
from fakes.observed import FakeReader, Observed
from towpath.aio.clock import format_rfc3339
from towpath.ci.report import CiReport, Outcome, ServiceOutcome, ServiceReport
from towpath.errors import NotFoundError
from towpath.kube.errors import ForbiddenError
from towpath.kube.health import Health
from towpath.kube.objects import GVK, Object, ObjectKey
from towpath.kube.requests import ObjectList
from towpath.observe.happenings import describe_events
from towpath.reconcile.changes import Action
from towpath.reconcile.status import Operation, ResourceStatus, Result, Sync


def event(namespace: str, reason: str, *, at: float = START, **fields: object) -> Object:
    involved = {"kind": "Pod", "name": "sensor-0"}
    metadata = {"name": reason.lower(), "namespace": namespace}
    stamp = {"lastTimestamp": format_rfc3339(at)}
    return {"apiVersion": "v1", "kind": "Event", "metadata": metadata, "reason": reason, "involvedObject": involved} | (
        stamp | fields
    )


async def test_cluster_builds_and_reconciliations_are_told_in_the_order_of_time(observed: Observed) -> None:
    head = await observed.world.head()
    built = ServiceReport("sensor", ServiceOutcome.BUILT)
    observed.builds.all = [CiReport(head, Outcome.PUBLISHED, START, seconds=1, attempt=2, services=(built,))]
    observed.change("dev", operations=(Operation(START + 2, "channel", head, Result.APPLIED, "3 created", 0.1),))
    observed.cluster.objects = [
        event("dev", "Started", at=START + 3, type="Normal", message="Started container", count=4),
        event("default", "Elsewhere", at=START),
    ]

    events = (await describe_events(observed.sources))["events"]

    assert [(one["reason"], one["environment"]) for one in events] == [
        ("Elsewhere", ""),
        ("BuildPublished", ""),
        ("ReconcileApplied", "dev"),
        ("Started", "dev"),
    ]
    assert events[1]["message"] == "sensor built"
    assert events[2]["message"] == f"3 created (trigger: channel, revision {head[:7]})"
    assert (events[3]["object"], events[3]["count"]) == ("Pod/sensor-0", 4)


async def test_what_failed_is_a_warning(observed: Observed) -> None:
    head = await observed.world.head()
    observed.builds.all = [CiReport(head, Outcome.FAILED, START, error="no entrypoint")]
    observed.change("dev", operations=(Operation(START, "push", head, Result.FAILED, "cannot be rendered", 0.1),))

    events = (await describe_events(observed.sources))["events"]

    assert {(one["type"], one["reason"]) for one in events} == {
        ("Warning", "BuildFailed"),
        ("Warning", "ReconcileFailed"),
    }


async def test_the_events_of_an_environment_are_those_of_its_namespaces(observed: Observed) -> None:
    key = ObjectKey("apps", "StatefulSet", "fleet", "sensor")
    observed.change("prod", resources=(ResourceStatus(key, Action.UNCHANGED, Sync.SYNCED, Health.HEALTHY),))
    observed.cluster.objects = [event("fleet", "Mine"), event("dev", "Other")]

    events = (await describe_events(observed.sources, environment="prod"))["events"]

    assert [(one["reason"], one["environment"]) for one in events] == [("Mine", "prod")]
    with pytest.raises(NotFoundError):
        await describe_events(observed.sources, environment="staging")


async def test_the_newest_are_kept_and_events_without_a_time_are_the_oldest(observed: Observed) -> None:
    undated = event("dev", "Undated", lastTimestamp=None)
    dated = event("dev", "Dated", lastTimestamp=None, eventTime="2026-01-31T09:30:00.5Z")
    observed.cluster.objects = [dated, undated]

    everything = (await describe_events(observed.sources))["events"]
    newest = (await describe_events(observed.sources, limit=1))["events"]

    assert [one["reason"] for one in everything] == ["Undated", "Dated"]
    assert [one["reason"] for one in newest] == ["Dated"]


async def test_on_a_cluster_of_others_only_our_namespaces_are_looked_at(observed: Observed) -> None:
    observed.cluster.objects = [event("dev", "Mine"), event("kube-system", "Foreign")]

    events = (await describe_events(replace(observed.sources, whole_cluster=False)))["events"]

    assert [one["reason"] for one in events] == ["Mine"]


class Forbidding(FakeReader):
    """A cluster where events of dev may not be listed."""

    async def list(self, gvk: GVK, namespace: str = "", *, labels: str = "", fields: str = "") -> ObjectList:
        if namespace == "dev":
            raise ForbiddenError("events is forbidden")
        return await super().list(gvk, namespace, labels=labels, fields=fields)


async def test_a_namespace_that_may_not_be_seen_is_said_and_hides_no_other(observed: Observed) -> None:
    sources = replace(observed.sources, whole_cluster=False, client=Forbidding([event("prod", "Mine", at=START - 1)]))

    events = (await describe_events(sources))["events"]

    assert [(one["reason"], one["environment"]) for one in events] == [("Mine", "prod"), ("EventsNotSeen", "dev")]
    assert events[1]["message"] == "events is forbidden"
