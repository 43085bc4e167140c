"""Blueprints by commit, each read once."""

from pathlib import Path

import pytest

from fakes.observed import Observed
from towpath.blueprint.document import BlueprintError
from towpath.server.blueprints import REMEMBERED, Blueprints


async def test_a_platform_without_a_blueprint_has_its_own_name_and_registry(tmp_path: Path) -> None:
    async with await Observed.open(tmp_path) as observed:
        await observed.world.push({"towpath.yaml": ""})
        blueprints = Blueprints(observed.repository, default_name="lab", address="127.0.0.1:7501")
        found = await blueprints.head("main")

    assert found is not None
    assert found[1].image("sensor") == "127.0.0.1:7501/lab/sensor"


async def test_an_unborn_branch_has_none_and_a_broken_one_says_so(tmp_path: Path) -> None:
    async with await Observed.open(tmp_path) as observed:
        blueprints = Blueprints(observed.repository, default_name="lab")
        assert await blueprints.head("other") is None
        await observed.world.push({"towpath.yaml": "nmae: lab\n"})
        with pytest.raises(BlueprintError, match="nmae"):
            await blueprints.head("main")


async def test_the_same_commit_is_not_read_again(tmp_path: Path) -> None:
    async with await Observed.open(tmp_path) as observed:
        blueprints = Blueprints(observed.repository, default_name="lab")
        head = await observed.world.head()
        first = await blueprints.at(head)

        assert await blueprints.at(head) is first
        for number in range(REMEMBERED):
            await blueprints.at(await observed.world.push({"README.md": str(number)}))
        assert await blueprints.at(head) is not first
        assert await blueprints.at(head) == first
