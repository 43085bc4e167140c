"""The checks that look at an image: each part whole, and built from the very commit."""

from pathlib import Path

import pytest

from fakes.promotion_world import World, digest_of, make_world
from towpath.promote.gate import Verdict
from towpath.promote.gate.verdict import CheckResult
from towpath.promote.promotion import PromotionRequest, promote


@pytest.fixture
async def world(tmp_path: Path) -> World:
    return await make_world(tmp_path)


async def ask(world: World, tag: str, check: str) -> CheckResult:
    outcome = await promote(world.desk(), PromotionRequest(("sensor",), "prod", tag, dry_run=True))
    return next(result for result in outcome.gates["sensor"].results if result.check == check)


@pytest.mark.parametrize("part", ["config", "layer"])
async def test_a_blob_that_was_cut_short_is_a_missing_part(world: World, part: str) -> None:
    tag = await world.build("second")
    world.artifacts.cut_short.add(digest_of(f"{part} {tag}"))

    result = await ask(world, tag, "image complete")

    assert result.verdict is Verdict.FAILED
    assert "(2 of 3 bytes)" in result.evidence


async def test_a_revision_that_begins_like_the_commit_is_another_commit(world: World) -> None:
    tag = await world.build("second")
    commit = await world.repository.find_commit(tag.removeprefix("sha-")) or ""
    world.artifacts.add(tag, commit[:7] + "0" * 33)

    result = await ask(world, tag, "revision label")

    assert result.verdict is Verdict.FAILED
    assert "built from" in result.evidence


async def test_an_image_without_the_label_says_nothing_of_its_commit(world: World) -> None:
    tag = await world.build("second")
    world.artifacts.add(tag, "")

    result = await ask(world, tag, "revision label")

    assert (result.verdict, result.next_step) == (Verdict.FAILED, "set the label where the image is built")
