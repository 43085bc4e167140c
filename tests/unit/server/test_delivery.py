"""The way of a push through the platform."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fakes.clock import START, VirtualClock
from towpath.blueprint.document import BlueprintError
from towpath.ci.report import CiReport, Outcome, ServiceOutcome, ServiceReport
from towpath.errors import UserError
from towpath.observe.metrics import Metrics
from towpath.observe.timeline import Timeline
from towpath.registry.protocol.exchange import PushEvent as ArtifactPush
from towpath.server.delivery import Delivery
from towpath.source.events import NO_COMMIT, PushEvent

COMMIT = "c" * 40


@dataclass
class Heard:
    """Satisfies every port of a delivery, and remembers in which order it was told."""

    told: list[str] = field(default_factory=list)
    broken_blueprint: bool = False
    full_disk: bool = False

    async def receive(self, *, ref: str, after: str, branch: str) -> bool:
        if self.full_disk:
            raise OSError(28, "No space left on device")
        self.told.append(f"ci {ref} {after[:3]} {branch}")
        return True

    async def follow(self) -> None:
        if self.broken_blueprint:
            raise UserError("nmae: unknown key")
        self.told.append("environments")

    def trigger_all(self, reason: str) -> None:
        self.told.append(f"reconcile {reason}")


@dataclass
class Given:
    heard: Heard
    timeline: Timeline
    metrics: Metrics
    delivery: Delivery


@pytest.fixture
def given(tmp_path: Path) -> Any:
    heard: Any = Heard()
    timeline, metrics = Timeline(tmp_path / "state.db", clock=VirtualClock()), Metrics(version="1")
    delivery = Delivery(
        branch="main", environments=heard, ci=heard, reconciler=heard, timeline=timeline, metrics=metrics
    )
    yield Given(heard, timeline, metrics, delivery)
    timeline.close()


def push(ref: str = "refs/heads/main", after: str = COMMIT) -> PushEvent:
    return PushEvent("home", ref, NO_COMMIT, after, START - 2, "ada")


async def test_a_push_is_taken_by_ci_before_anything_else_hears_of_it(given: Given) -> None:
    await given.delivery.take(push())

    assert given.heard.told == ["ci refs/heads/main ccc main", "environments", "reconcile push"]
    given.timeline.stamp(COMMIT, "fetched", at=START)
    assert given.timeline.waterfall(COMMIT, "dev").total_seconds == 2.0


@pytest.mark.parametrize("event", [push("refs/heads/feature"), push("refs/tags/v1"), push(after=NO_COMMIT)])
async def test_other_refs_and_a_deleted_branch_change_nothing(given: Given, event: PushEvent) -> None:
    await given.delivery.take(event)

    assert given.heard.told == []


async def test_a_broken_blueprint_still_reaches_the_reconciler_which_reports_it(
    given: Given, caplog: pytest.LogCaptureFixture
) -> None:
    given.heard.broken_blueprint = True
    with caplog.at_level(logging.WARNING):
        await given.delivery.take(push())

    assert given.heard.told == ["ci refs/heads/main ccc main", "reconcile push"]
    assert "nmae" in caplog.text
    assert issubclass(BlueprintError, UserError)


async def test_a_push_that_cannot_be_noted_is_not_handled(given: Given) -> None:
    given.heard.full_disk = True
    with pytest.raises(OSError, match="No space"):
        await given.delivery.take(push())
    assert given.heard.told == []


def test_each_built_service_is_counted(given: Given) -> None:
    services = (ServiceReport("sensor", ServiceOutcome.BUILT), ServiceReport("lamp", ServiceOutcome.CARRIED))
    given.delivery.built(CiReport(COMMIT, Outcome.PUBLISHED, START, services=services))

    value = given.metrics.registry.get_sample_value
    assert value("towpath_builds_total", {"service": "sensor", "result": "built"}) == 1
    assert value("towpath_builds_total", {"service": "lamp", "result": "carried"}) == 1


@pytest.mark.parametrize(
    ("tag", "before", "told"),
    [
        ("canary", "", ["reconcile channel"]),
        ("canary", "sha256:old", ["reconcile channel"]),
        ("canary", "sha256:new", []),
        ("sha-1234567", "", []),
    ],
)
async def test_a_channel_that_moved_wakes_who_follows_it(given: Given, tag: str, before: str, told: list[str]) -> None:
    await given.delivery.channel_moved(ArtifactPush("home/sensor", tag, "sha256:new", before))

    assert given.heard.told == told
