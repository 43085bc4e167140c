"""Going back restores the last good release, and sticks."""

from pathlib import Path

import pytest

from fakes.promotion_world import World, make_world
from towpath.errors import UserError
from towpath.promote.gate import Verdict
from towpath.promote.ledger import quarantined, read_ledger
from towpath.promote.promotion import PromotionRequest, promote
from towpath.promote.rollback import NoGoodReleaseError, RollbackRequest, Standing, roll_back

PROD = "k3s/overlays/prod"


@pytest.fixture
async def world(tmp_path: Path) -> World:
    return await make_world(tmp_path)


async def release(world: World, source: str) -> str:
    tag = await world.build(source)
    outcome = await promote(world.desk(), PromotionRequest(("sensor",), "prod"))
    assert outcome.commit is not None
    return tag


def digest(world: World, tag: str) -> str:
    return str(world.artifacts.images[tag].descriptor.digest)


async def back(world: World, **options: str | bool) -> object:
    return await roll_back(world.desk(), world.runtime, RollbackRequest("prod", **options))  # type: ignore[arg-type]


async def test_the_last_good_release_is_restored_by_one_commit(world: World) -> None:
    good = await release(world, "good")
    bad = await release(world, "bad")
    before = await world.head()

    outcome = await roll_back(world.desk(), world.runtime, RollbackRequest("prod", reason="it burns", by="alice"))

    assert await world.pinned() == good
    commit = await world.repository.get_commit(await world.head())
    assert (commit.id, commit.parents) == (outcome.commit, (before,))
    assert commit.subject == f"Roll back prod to sensor {good}"
    assert "it burns" in commit.body
    assert outcome.quarantined == (("sensor", digest(world, bad)),)


async def test_the_bad_version_cannot_come_back(world: World) -> None:
    await release(world, "good")
    bad = await release(world, "bad")
    await back(world)

    outcome = await promote(world.desk(), PromotionRequest(("sensor",), "prod", bad))

    assert outcome.verdict is Verdict.FAILED
    blocker = next(result for result in outcome.gates["sensor"].results if result.check == "not quarantined")
    assert blocker.verdict is Verdict.FAILED
    assert outcome.commit is None


async def test_quarantine_is_read_from_git_alone(world: World) -> None:
    await release(world, "good")
    bad = await release(world, "bad")
    await back(world)

    entries = await read_ledger(world.repository, "main", overlays=[PROD])

    assert list(quarantined(entries)) == [digest(world, bad)]


async def test_a_release_that_cannot_be_pulled_is_passed_over(world: World) -> None:
    oldest = await release(world, "oldest")
    lost = await release(world, "lost")
    await release(world, "bad")
    world.artifacts.missing.add(world.artifacts.images[lost].manifest.layers[0].digest)

    outcome = await roll_back(world.desk(), world.runtime, RollbackRequest("prod"))

    assert await world.pinned() == oldest
    assert "lacks" in outcome.skipped[0].reason


async def test_a_release_that_was_degraded_is_passed_over(world: World) -> None:
    good = await release(world, "good")
    worse = await release(world, "worse")
    await release(world, "bad")
    world.runtime.past[digest(world, worse)] = Standing.DEGRADED

    outcome = await roll_back(world.desk(), world.runtime, RollbackRequest("prod"))

    assert await world.pinned() == good
    assert "was degraded there" in outcome.skipped[0].reason


async def test_rolling_back_twice_goes_further_back_and_never_forward(world: World) -> None:
    first = await release(world, "first")
    await release(world, "second")
    await release(world, "third")

    await back(world)
    await back(world)

    assert await world.pinned() == first


async def test_a_named_release_is_restored(world: World) -> None:
    first = await release(world, "first")
    commit = await world.head()
    await release(world, "second")
    await release(world, "third")

    await back(world, to=commit[:10])

    assert await world.pinned() == first


async def test_a_release_that_was_degraded_is_restored_when_it_is_named(world: World) -> None:
    wanted = await release(world, "wanted")
    commit = await world.head()
    await release(world, "newest")
    world.runtime.past[digest(world, wanted)] = Standing.DEGRADED

    await back(world, to=commit[:10])

    assert await world.pinned() == wanted


async def test_a_release_that_the_environment_may_not_pull_is_not_restored(world: World) -> None:
    await release(world, "good")
    await release(world, "bad")
    before = await world.head()
    world.environment_artifacts.denied = True

    with pytest.raises(NoGoodReleaseError, match="the pull secret of prod cannot pull"):
        await back(world)

    assert await world.head() == before


async def test_an_unknown_release_is_refused_with_those_there_are(world: World) -> None:
    await release(world, "first")
    await release(world, "second")

    with pytest.raises(UserError, match="release abcdef of prod cannot be restored"):
        await back(world, to="abcdef")


async def test_without_an_earlier_release_nothing_is_written(world: World) -> None:
    only = await release(world, "only")

    with pytest.raises(NoGoodReleaseError, match="NoGoodRelease"):
        await back(world)
    assert await world.pinned() == only


async def test_an_environment_that_never_had_a_release_says_so(world: World) -> None:
    with pytest.raises(NoGoodReleaseError, match="NoRelease"):
        await back(world)


async def test_an_environment_that_follows_a_channel_is_sent_to_git_revert(world: World) -> None:
    await world.build("good")
    with pytest.raises(NoGoodReleaseError, match="FollowsChannel") as caught:
        await roll_back(world.desk(), world.runtime, RollbackRequest("dev"))
    assert "git revert" in caught.value.hint


async def test_a_dry_run_writes_nothing(world: World) -> None:
    good = await release(world, "good")
    bad = await release(world, "bad")

    outcome = await roll_back(world.desk(), world.runtime, RollbackRequest("prod", dry_run=True))

    assert outcome.commit is None
    assert outcome.moves[0].tag == good
    assert await world.pinned() == bad


async def test_a_pin_forced_by_hand_to_a_tag_that_was_never_built_is_undone(world: World) -> None:
    good = await release(world, "good")
    path = f"{PROD}/kustomization.yaml"
    text = (await world.repository.read(await world.head(), path)).decode()
    await world.push({path: text.replace(good, "sha-0000000")}, "Force")

    outcome = await roll_back(world.desk(), world.runtime, RollbackRequest("prod"))

    assert await world.pinned() == good
    assert outcome.quarantined == ()
