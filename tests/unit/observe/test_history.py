"""The ledger, as people read it."""

import pytest

from fakes.observed import Observed
from fakes.promotion_world import OVERLAY, REGISTRY
from towpath.errors import NotFoundError
from towpath.kube.health import Health
from towpath.observe.history import describe_history
from towpath.promote.promotion import PromotionRequest, promote
from towpath.promote.rollback import RollbackRequest, roll_back

PROD = "k3s/overlays/prod/kustomization.yaml"


async def release(observed: Observed, source: str, *, health: Health = Health.HEALTHY) -> str:
    """A new source, built, running in dev; its tag. Time passes, so that entries have an order."""
    await observed.clock.advance(60)
    tag = await observed.world.build(source)
    await observed.run(
        "dev", await observed.world.head(), health=health, message="" if health is Health.HEALTHY else "x"
    )
    await observed.clock.advance(60)
    return tag


async def promoted(observed: Observed, tag: str) -> None:
    """The tag is promoted to prod, and becomes healthy there."""
    request = PromotionRequest(("sensor",), "prod", tag, by="ada")
    outcome = await promote(observed.world.desk(), request)
    assert outcome.commit is not None
    await observed.run("prod", outcome.moves[0].revision, tag=tag, digest=outcome.moves[0].digest)
    await observed.clock.advance(60)


async def test_an_empty_platform_has_no_history(observed: Observed) -> None:
    assert (await describe_history(observed.sources))["entries"] == []


async def test_a_followed_channel_shows_each_version_after_the_one_before(observed: Observed) -> None:
    first = await release(observed, "second")
    began = observed.clock.now() - 60
    second = await release(observed, "third")

    entries = (await describe_history(observed.sources))["entries"]

    assert [(entry["act"], entry["environment"]) for entry in entries] == [("deploy", "dev")] * 2
    assert [(entry["moves"][0]["previous"], entry["moves"][0]["tag"]) for entry in entries] == [
        (first, second),
        ("", first),
    ]
    assert entries[1]["at"] == pytest.approx(began, abs=1)


async def test_a_deployment_keeps_its_moment_whatever_becomes_of_it_later(observed: Observed) -> None:
    tag = await release(observed, "second")
    began = observed.clock.now() - 60
    commit = await observed.world.head()
    await observed.clock.advance(600)
    await observed.run("dev", commit, health=Health.DEGRADED, message="crashing")

    (entry,) = (await describe_history(observed.sources))["entries"]

    assert (entry["verdict"], entry["reason"]) == ("degraded", "crashing")
    assert entry["moves"][0]["tag"] == tag
    assert entry["at"] == pytest.approx(began, abs=1)


async def test_promotion_pin_by_hand_and_rollback_tell_the_whole_story(observed: Observed) -> None:
    good = await release(observed, "second")
    await promoted(observed, good)
    bad = await release(observed, "third")
    await observed.clock.advance(60)
    forced = await observed.world.push({PROD: OVERLAY.format(registry=REGISTRY, tag=bad)}, "Force it")
    forced_at = observed.clock.now()
    image = observed.world.artifacts.images[bad]
    digest = str(image.descriptor.digest)
    revision = (await observed.repository.find_commit(bad.removeprefix("sha-"))) or ""
    await observed.run("prod", revision, tag=bad, digest=digest, health=Health.DEGRADED, message="crashing")
    await observed.clock.advance(300)
    request = RollbackRequest("prod", by="ada", reason="it crashes")
    outcome = await roll_back(observed.world.desk(), observed.world.runtime, request)
    assert outcome.commit is not None
    await observed.verdicts.roll_back("prod", "sensor", digest, reason="rolled back", commit=outcome.commit)

    entries = (await describe_history(observed.sources, environment="prod"))["entries"]

    assert [(one["act"], one["moves"][0]["previous"], one["moves"][0]["tag"]) for one in entries] == [
        ("rollback", bad, good),
        ("pin", good, bad),
        ("promote", "unreleased", good),
    ]
    rollback, pin, promotion = entries
    assert (pin["commit"], pin["by"], pin["verdict"]) == (forced, "Alice <alice@example.com>", "rolled-back")
    assert pin["at"] == pytest.approx(forced_at, abs=1)
    assert (promotion["by"], promotion["verdict"]) == ("ada", "healthy")
    assert rollback["quarantined"] == [{"service": "sensor", "digest": digest}]


async def test_history_can_be_narrowed_and_cut(observed: Observed) -> None:
    tag = await release(observed, "second")
    await promoted(observed, tag)

    everything = (await describe_history(observed.sources, service="sensor"))["entries"]
    newest = (await describe_history(observed.sources, limit=1))["entries"]

    assert [entry["environment"] for entry in everything] == ["prod", "dev"]
    assert [entry["environment"] for entry in newest] == ["prod"]


async def test_unknown_names_are_no_empty_history(observed: Observed) -> None:
    with pytest.raises(NotFoundError, match="environment staging"):
        await describe_history(observed.sources, environment="staging")
    with pytest.raises(NotFoundError, match="service lamp"):
        await describe_history(observed.sources, service="lamp")
