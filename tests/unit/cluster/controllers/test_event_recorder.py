"""Events: counted, combined and limited before they cost a write."""

from typing import Any

import pytest

from fakes.workloads import EVENT, Workloads, v1
from towpath.cluster.controllers.correlation import BURST, REMEMBERED, Correlator, Occurrence
from towpath.cluster.controllers.events import EventRecorder, EventSource
from towpath.kube.objects import Object


@pytest.fixture
def recorder(cluster: Workloads) -> EventRecorder:
    return EventRecorder(cluster.client, clock=cluster.clock)


def source_of(recorder: EventRecorder) -> EventSource:
    recorder.start()
    return recorder.source("kubelet", host="towpath")


def pod(name: str = "p", uid: str = "u1") -> Object:
    made = v1("Pod", name)
    made["metadata"]["uid"] = uid
    return made


async def test_an_event_says_who_saw_what_happen_to_whom(cluster: Workloads, recorder: EventRecorder) -> None:
    source = source_of(recorder)
    source.warning(pod(), "BackOff", "Back-off restarting", field_path="spec.containers{main}")
    await recorder.close()
    (event,) = await cluster.all(EVENT)
    del event["metadata"]
    assert event == {
        "apiVersion": "v1",
        "kind": "Event",
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": "dev",
            "name": "p",
            "uid": "u1",
            "fieldPath": "spec.containers{main}",
        },
        "type": "Warning",
        "reason": "BackOff",
        "message": "Back-off restarting",
        "source": {"component": "kubelet", "host": "towpath"},
        "firstTimestamp": "2026-01-31T09:30:00Z",
        "lastTimestamp": "2026-01-31T09:30:00Z",
        "count": 1,
        "reportingComponent": "kubelet",
        "reportingInstance": "towpath",
    }


async def test_a_repeated_event_is_one_object_with_a_count(cluster: Workloads, recorder: EventRecorder) -> None:
    source = source_of(recorder)
    for _ in range(3):
        source.normal(pod(), "Pulled", "already present")
        await cluster.clock.advance(10)
    await recorder.close()
    (event,) = await cluster.all(EVENT)
    assert (event["count"], event["lastTimestamp"]) == (3, "2026-01-31T09:30:20Z")
    assert event["firstTimestamp"] == "2026-01-31T09:30:00Z"


async def test_repetitions_that_pile_up_are_one_write(cluster: Workloads, recorder: EventRecorder) -> None:
    source = recorder.source("kubelet")
    for _ in range(5):
        source.normal(pod(), "Pulled", "already present")
    revision = cluster.kernel.revision
    await recorder.close()
    assert cluster.kernel.revision == revision + 1
    assert (await cluster.all(EVENT))[0]["count"] == 5


async def test_a_crash_loop_cannot_flood_the_store(cluster: Workloads, recorder: EventRecorder) -> None:
    source = source_of(recorder)
    for number in range(500):
        source.warning(pod(), "BackOff", f"attempt {number}")
        await cluster.clock.settle()
    await recorder.close()
    events = await cluster.all(EVENT)
    assert len(events) == 11
    assert sum(event["count"] for event in events) == BURST
    combined = [event for event in events if event["message"].startswith("(combined from similar events): ")]
    assert len(combined) == 1


async def test_an_event_that_somebody_deleted_begins_anew(cluster: Workloads, recorder: EventRecorder) -> None:
    source = source_of(recorder)
    source.normal(pod(), "Pulled", "already present")
    await cluster.clock.settle()
    (first,) = await cluster.all(EVENT)
    await cluster.delete(first)
    for _ in range(2):
        source.normal(pod(), "Pulled", "already present")
        await cluster.clock.settle()
    await recorder.close()
    (second,) = await cluster.all(EVENT)
    assert second["count"] == 1
    assert second["metadata"]["name"] != first["metadata"]["name"]


async def test_an_event_in_a_namespace_that_is_gone_fails_nobody(cluster: Workloads, recorder: EventRecorder) -> None:
    source = source_of(recorder)
    lost = pod()
    lost["metadata"]["namespace"] = "nowhere"
    source.normal(lost, "Killing", "Stopping container main")
    source.normal(pod(), "Killing", "Stopping container main")
    await recorder.close()
    assert [event["metadata"]["namespace"] for event in await cluster.all(EVENT)] == ["dev"]


async def test_events_of_cluster_scoped_objects_are_kept_in_default(
    cluster: Workloads, recorder: EventRecorder
) -> None:
    source = source_of(recorder)
    source.normal(v1("Node", "towpath", namespace=""), "NodeReady", "ready")
    await recorder.close()
    assert [event["metadata"]["namespace"] for event in await cluster.all(EVENT)] == ["default"]


async def test_a_message_is_cut_at_the_limit_of_the_api(cluster: Workloads, recorder: EventRecorder) -> None:
    source_of(recorder).normal(pod(), "Failed", "x" * 5000)
    await recorder.close()
    assert len((await cluster.all(EVENT))[0]["message"]) == 1024


async def test_when_too_many_wait_the_latest_are_lost_and_nothing_else(
    cluster: Workloads, recorder: EventRecorder
) -> None:
    source = recorder.source("kubelet")
    for number in range(1005):
        source.normal(pod(uid=f"u{number}"), "Pulled", "already present")
    await recorder.close()
    assert len(await cluster.all(EVENT)) == 1000
    assert recorder.is_idle


def happened(message: str = "m", **facts: Any) -> Occurrence:
    known = {
        "component": "kubelet",
        "host": "",
        "involved_uid": "u1",
        "involved_kind": "Pod",
        "namespace": "dev",
        "name": "p",
        "type": "Normal",
        "reason": "Pulled",
        "message": message,
    }
    return Occurrence(**{**known, **facts})


def test_the_budget_refills_with_time() -> None:
    correlator = Correlator()
    assert all(correlator.find_tally(happened(), now=0.0) for _ in range(BURST))
    assert correlator.find_tally(happened(), now=0.0) is None
    assert correlator.find_tally(happened(), now=299.0) is None
    assert correlator.find_tally(happened(), now=301.0) is not None


def test_each_object_has_a_budget_of_its_own() -> None:
    correlator = Correlator()
    for _ in range(BURST + 1):
        correlator.find_tally(happened(), now=0.0)
    assert correlator.find_tally(happened(involved_uid="u2"), now=0.0) is not None


def test_similar_events_are_combined_only_within_ten_minutes() -> None:
    correlator = Correlator()
    for number in range(10):
        correlator.find_tally(happened(str(number)), now=0.0)
    combined = correlator.find_tally(happened("another"), now=1.0)
    assert combined is not None
    assert combined.occurrence.message == "(combined from similar events): another"
    apart = correlator.find_tally(happened("another"), now=700.0)
    assert apart is not None
    assert apart.occurrence.message == "another"


def test_events_of_one_moment_have_names_of_their_own() -> None:
    correlator = Correlator()
    one, two = (correlator.find_tally(happened(message), now=5.0) for message in "ab")
    assert one is not None
    assert two is not None
    assert one.event_name != two.event_name


def test_what_happened_long_ago_is_forgotten_first() -> None:
    correlator = Correlator()
    for number in range(REMEMBERED + 1):
        correlator.find_tally(happened(involved_uid=str(number)), now=0.0)
    again = correlator.find_tally(happened(involved_uid="0"), now=0.0)
    kept = correlator.find_tally(happened(involved_uid=str(REMEMBERED)), now=0.0)
    assert again is not None
    assert kept is not None
    assert (again.count, kept.count) == (1, 2)
