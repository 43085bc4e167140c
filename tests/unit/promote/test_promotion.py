"""A promotion passes the gate or writes nothing."""

from pathlib import Path

import pytest

from fakes.promotion_world import World, digest_of, make_world
from towpath.errors import ConflictError, NotFoundError, UserError
from towpath.oci.tags import sha_tag
from towpath.promote.gate import Verdict
from towpath.promote.gate.evidence import Standing
from towpath.promote.ledger import read_ledger
from towpath.promote.promotion import ATTEMPTS, PromotionOutcome, PromotionRequest, promote
from towpath.promote.trailers import Act
from towpath.source.repository import StaleBranchError


@pytest.fixture
async def world(tmp_path: Path) -> World:
    return await make_world(tmp_path)


def asked(version: str = "", **options: bool) -> PromotionRequest:
    return PromotionRequest(("sensor",), "prod", version, by="alice", **options)


def verdicts(outcome: PromotionOutcome) -> dict[str, Verdict]:
    return {result.check: result.verdict for result in outcome.gates["sensor"].results}


def evidence(outcome: PromotionOutcome, check: str) -> str:
    return next(result.evidence for result in outcome.gates["sensor"].results if result.check == check)


async def test_what_dev_has_verified_moves_to_prod_by_one_commit(world: World) -> None:
    tag = await world.build("second")
    before = await world.head()

    outcome = await promote(world.desk(), asked())

    assert outcome.verdict is Verdict.PASSED
    assert await world.pinned() == tag
    commit = await world.repository.get_commit(await world.head())
    assert (commit.id, commit.parents) == (outcome.commit, (before,))
    assert commit.subject == f"Promote sensor {tag} to prod"
    assert world.announced == ["main"]


async def test_the_pin_moves_and_its_comment_stays(world: World) -> None:
    tag = await world.build("second")
    await promote(world.desk(), asked())

    text = (await world.repository.read(await world.head(), "k3s/overlays/prod/kustomization.yaml")).decode()

    assert f"newTag: {tag}   # the pin\n" in text


async def test_the_ledger_is_in_the_commit(world: World) -> None:
    tag = await world.build("second")
    await promote(world.desk(), asked())

    (entry,) = await read_ledger(world.repository, "main", overlays=["k3s/overlays/dev", "k3s/overlays/prod"])

    assert (entry.record.act, entry.record.environment, entry.record.by) == (Act.PROMOTE, "prod", "alice")
    (move,) = entry.record.moves
    assert (move.service, move.tag, move.previous) == ("sensor", tag, "unreleased")
    assert move.digest == str(world.artifacts.images[tag].descriptor.digest)
    assert sha_tag(move.revision) == tag


async def test_a_full_length_sha_is_refused_with_the_short_tag_named(world: World) -> None:
    tag = await world.build("second")
    full = f"sha-{await world.head()}"

    outcome = await promote(world.desk(), asked(full))

    assert outcome.commit is None
    (result,) = outcome.gates["sensor"].results
    assert (result.check, result.verdict, result.next_step) == ("tag form", Verdict.FAILED, f"use {tag}")
    assert "full-length SHA" in result.evidence


@pytest.mark.parametrize("tag", ["latest", "canary", "v1", "sha-123", "sha-GGGGGGG"])
async def test_a_tag_that_can_move_or_is_too_short_is_refused(world: World, tag: str) -> None:
    await world.build("second")

    outcome = await promote(world.desk(), asked(tag))

    assert verdicts(outcome) == {"tag form": Verdict.FAILED}
    assert await world.pinned() == "unreleased"


async def test_a_commit_that_was_never_built_is_refused(world: World) -> None:
    commit = await world.push({"services/sensor/main.py": "never built"})

    outcome = await promote(world.desk(), asked(sha_tag(commit)))

    assert verdicts(outcome)["commit on branch"] is Verdict.PASSED
    assert verdicts(outcome)["image complete"] is Verdict.FAILED
    assert await world.pinned() == "unreleased"


async def test_an_unknown_commit_is_refused(world: World) -> None:
    outcome = await promote(world.desk(), asked("sha-0123456"))

    assert verdicts(outcome)["commit on branch"] is Verdict.FAILED


async def test_a_commit_of_another_branch_is_refused(world: World) -> None:
    side = await world.repository.commit_files(
        "side", {"a": b"1"}, message="Side", author="A <a@example.com>", parent=None
    )
    world.publish(side)

    outcome = await promote(world.desk(), asked(sha_tag(side)))

    assert "is not on main" in evidence(outcome, "commit on branch")


async def test_a_missing_layer_is_named(world: World) -> None:
    tag = await world.build("second")
    layer = world.artifacts.images[tag].manifest.layers[0].digest
    world.artifacts.missing.add(layer)

    outcome = await promote(world.desk(), asked())

    assert verdicts(outcome)["image complete"] is Verdict.FAILED
    assert str(layer) in evidence(outcome, "image complete")


async def test_a_pull_secret_without_rights_is_found_before_the_write(world: World) -> None:
    await world.build("second")
    world.environment_artifacts.denied = True

    outcome = await promote(world.desk(), asked())

    assert verdicts(outcome)["pullable by the environment"] is Verdict.FAILED
    assert verdicts(outcome)["image complete"] is Verdict.PASSED
    assert outcome.commit is None


@pytest.mark.parametrize(
    ("revision", "said"), [("", "no label"), ("f" * 40, "was built from fffffff")], ids=["missing", "another"]
)
async def test_the_image_must_say_that_it_is_of_this_commit(world: World, revision: str, said: str) -> None:
    tag = await world.build("second")
    world.artifacts.add(tag, revision)

    outcome = await promote(world.desk(), asked(tag))

    assert said in evidence(outcome, "revision label")
    assert verdicts(outcome)["revision label"] is Verdict.FAILED


async def test_a_version_that_is_unhealthy_in_dev_is_refused(world: World) -> None:
    await world.build("bad", verified_seconds=None)

    outcome = await promote(world.desk(), asked())

    assert outcome.verdict is Verdict.FAILED
    assert evidence(outcome, "verified before") == "unhealthy in dev: crashing"


async def test_a_version_that_is_still_starting_in_dev_lacks_evidence(world: World) -> None:
    tag = await world.build("second")
    digest = str(world.artifacts.images[tag].descriptor.digest)
    world.runtime.standings["dev", "sensor"] = Standing(digest, None, "0 of 1 pods ready")

    outcome = await promote(world.desk(), asked())

    assert outcome.verdict is Verdict.INSUFFICIENT
    assert evidence(outcome, "verified before") == "not healthy in dev yet: 0 of 1 pods ready"


async def test_an_unfinished_soak_is_no_failure_but_no_pass_either(world: World) -> None:
    await world.build("second", verified_seconds=20)

    outcome = await promote(world.desk(), asked())

    assert outcome.verdict is Verdict.INSUFFICIENT
    assert evidence(outcome, "verified before") == "healthy in dev for 20 s of 60 s"
    assert outcome.commit is None


async def test_a_version_that_dev_does_not_run_lacks_evidence(world: World) -> None:
    first = await world.build("second")
    await world.build("third")

    outcome = await promote(world.desk(), asked(first))

    assert verdicts(outcome)["verified before"] is Verdict.INSUFFICIENT


async def test_going_back_is_refused_unless_it_was_asked_for(world: World) -> None:
    first = await world.build("second")
    second = await world.build("third")
    await promote(world.desk(), asked(second))
    world.runtime.standings["dev", "sensor"] = world.runtime.standings["dev", "sensor"].__class__(
        str(world.artifacts.images[first].descriptor.digest), world.clock.now() - 100
    )

    refused = await promote(world.desk(), asked(first))
    allowed = await promote(world.desk(), asked(first, allow_downgrade=True))

    assert verdicts(refused)["no silent downgrade"] is Verdict.FAILED
    assert allowed.commit is not None
    assert await world.pinned() == first


async def test_a_carried_tag_leads_to_the_commit_that_built_the_image(world: World) -> None:
    built = await world.build("second")
    commit = await world.push({"README.md": "only words"})
    carried = world.artifacts.images[built]
    world.artifacts.images[sha_tag(commit)] = carried

    outcome = await promote(world.desk(), asked(sha_tag(commit)))

    assert outcome.verdict is Verdict.PASSED
    assert await world.pinned() == built


async def test_a_dry_run_shows_the_rendered_change_and_writes_nothing(world: World) -> None:
    tag = await world.build("second")
    before = await world.head()

    outcome = await promote(world.desk(), asked(dry_run=True))

    assert await world.head() == before
    (change,) = outcome.diff
    assert change.action == "configured"
    assert tag in str(change.changes[0].after)


async def test_promoting_what_is_pinned_already_writes_nothing(world: World) -> None:
    await world.build("second")
    await promote(world.desk(), asked())
    before = await world.head()

    again = await promote(world.desk(), asked())

    assert (again.verdict, again.commit, again.moves) == (Verdict.PASSED, None, ())
    assert await world.head() == before


class RacingRepository:
    """Lets another writer commit just before ours, so many times."""

    def __init__(self, world: World, races: int) -> None:
        self._world = world
        self._races = races

    def __getattr__(self, name: str) -> object:
        return getattr(self._world.repository, name)

    async def commit_files(self, *arguments: object, **options: object) -> str:
        if self._races:
            self._races -= 1
            await self._world.push({"README.md": f"{self._races} races to go"})
        return await self._world.repository.commit_files(*arguments, **options)  # type: ignore[arg-type]


async def test_a_promotion_that_loses_a_race_is_computed_again_and_lands(world: World) -> None:
    tag = await world.build("second")
    desk = world.desk()
    racing = RacingRepository(world, races=3)
    object.__setattr__(desk, "repository", racing)

    outcome = await promote(desk, asked())

    assert outcome.commit == await world.head()
    assert await world.pinned() == tag
    assert await world.repository.read(await world.head(), "README.md") == b"0 races to go"


async def test_a_promotion_that_always_loses_says_why(world: World) -> None:
    await world.build("second")
    desk = world.desk()
    object.__setattr__(desk, "repository", RacingRepository(world, races=ATTEMPTS + 1))

    with pytest.raises(ConflictError, match="Busy"):
        await promote(desk, asked())
    assert await world.pinned() == "unreleased"


async def test_a_stale_parent_is_never_written_over(world: World) -> None:
    old = await world.head()
    await world.push({"README.md": "newer"})

    with pytest.raises(StaleBranchError):
        await world.repository.commit_files("main", {"a": b"1"}, message="m", author="A <a@b.c>", parent=old)


async def test_an_unknown_service_or_environment_is_named_with_those_there_are(world: World) -> None:
    with pytest.raises(NotFoundError, match=r"service thermometer is not known .* sensor"):
        await promote(world.desk(), PromotionRequest(("thermometer",), "prod"))
    with pytest.raises(NotFoundError, match=r"environment staging is not known .* dev, prod"):
        await promote(world.desk(), PromotionRequest(("sensor",), "staging"))


async def test_nothing_to_promote_yet_is_missing_evidence_and_not_an_error(world: World) -> None:
    outcome = await promote(world.desk(), asked())

    assert (outcome.verdict, outcome.commit) == (Verdict.INSUFFICIENT, None)
    assert evidence(outcome, "verified before") == "dev does not run sensor yet"


async def test_the_first_environment_needs_a_version_by_name(world: World) -> None:
    with pytest.raises(UserError, match="nothing stands before"):
        await promote(world.desk(), PromotionRequest(("sensor",), "dev"))


async def test_one_version_for_two_services_is_ambiguous(world: World) -> None:
    with pytest.raises(UserError, match="Ambiguous"):
        await promote(world.desk(), PromotionRequest(("sensor", "other"), "prod", "sha-1234567"))


def test_the_same_word_gives_the_same_digest() -> None:
    assert digest_of("a") == digest_of("a") != digest_of("b")
