"""The accounts that namespaces pull with: kept, widened, narrowed, and given new secrets."""

import json
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from fakes.clock import START, VirtualClock
from towpath.errors import NotFoundError, TowpathError, UserError
from towpath.server.pullaccounts import FILE, PullAccount, PullAccounts


class World:
    """Accounts, and what was told of them."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.clock = VirtualClock()
        self.told: list[PullAccount] = []
        numbers = count(1)
        self.new_secret: Callable[[], str] = lambda: f"secret-{next(numbers)}"
        self.accounts = self.open()

    def open(self) -> PullAccounts:
        return PullAccounts(self.state, clock=self.clock, on_change=self.told.append, new_secret=self.new_secret)

    def secrets(self, environment: str = "dev") -> list[str]:
        return [one.secret for one in self.accounts.get(environment).secrets]


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.accounts.admit("dev")
    return made


def test_every_environment_has_a_secret_of_its_own_and_keeps_it(world: World) -> None:
    world.accounts.admit("prod")
    world.accounts.admit("dev")
    assert (world.secrets("dev"), world.secrets("prod")) == (["secret-1"], ["secret-2"])
    assert [account.name for account in world.open().all] == ["pull-dev", "pull-prod"]
    assert world.open().get("dev") == world.accounts.get("dev")
    assert (world.state / FILE).stat().st_mode & 0o777 == 0o600
    assert "secret-1" not in repr(world.accounts.all)


def test_whoever_serves_is_told_of_each_account_first_and_after_every_change(world: World) -> None:
    world.told.clear()
    again = world.open()
    again.allow("dev", ["home/lamp"])
    again.allow("dev", ["home/lamp"])
    assert [account.repositories for account in world.told] == [(), ("home/lamp",)]


def test_repositories_are_added_and_taken_away(world: World) -> None:
    world.accounts.allow("dev", ["home/lamp", "home/clock"])
    world.accounts.allow("dev", ["home/api"])
    assert world.accounts.get("dev").repositories == ("home/api", "home/clock", "home/lamp")
    world.accounts.narrow("dev", ["home/api"])
    assert world.open().get("dev").repositories == ("home/api",)


def test_nothing_is_written_when_nothing_changes(world: World) -> None:
    world.accounts.allow("dev", ["home/lamp"])
    before = (world.state / FILE).stat().st_mtime_ns
    world.accounts.allow("dev", ["home/lamp"])
    world.accounts.narrow("dev", ["home/lamp"])
    world.accounts.forget_expired()
    world.accounts.admit("dev")
    assert (world.state / FILE).stat().st_mtime_ns == before


def test_a_new_secret_stands_before_the_old_one_until_its_time_is_over(world: World) -> None:
    world.accounts.rotate("dev")
    assert world.secrets() == ["secret-2", "secret-1"]
    assert world.accounts.get("dev").is_replacing
    world.accounts.retire("dev", expires_at=START + 60)
    assert not world.accounts.get("dev").is_replacing
    world.accounts.forget_expired()
    assert world.secrets() == ["secret-2", "secret-1"]
    world.clock.step(60)
    world.accounts.forget_expired()
    assert world.secrets() == ["secret-2"]
    assert [one.secret for one in world.open().get("dev").secrets] == ["secret-2"]


def test_a_second_rotation_keeps_the_end_of_what_was_replaced_before(world: World) -> None:
    world.accounts.rotate("dev")
    world.accounts.retire("dev", expires_at=START + 60)
    world.accounts.rotate("dev")
    world.accounts.retire("dev", expires_at=START + 90)
    assert [one.expires_at for one in world.accounts.get("dev").secrets] == [None, START + 90, START + 60]


def test_an_environment_that_is_not_there_is_said_with_those_that_are(world: World) -> None:
    with pytest.raises(NotFoundError, match="there are dev"):
        world.accounts.rotate("prod")


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"version": 1}', '{"version":1,"accounts":[{"environment":"x","repositories":[],"secrets":[]}]}'],
)
def test_a_damaged_file_is_said_with_the_way_out(world: World, content: str) -> None:
    (world.state / FILE).write_text(content)
    with pytest.raises(UserError, match="Damaged") as caught:
        world.open()
    assert "new secrets" in caught.value.hint


def test_a_file_of_another_version_is_left_alone(world: World) -> None:
    document = {**json.loads((world.state / FILE).read_text()), "version": 2}
    (world.state / FILE).write_text(json.dumps(document))
    with pytest.raises(UserError, match="it has version 2, expected 1"):
        world.open()


def test_a_change_that_cannot_be_kept_is_not_made(world: World) -> None:
    world.accounts.allow("dev", ["home/lamp"])
    before, told = world.accounts.get("dev"), len(world.told)
    (world.state / FILE).unlink()
    (world.state / FILE).mkdir()
    with pytest.raises(TowpathError, match="cannot be kept"):
        world.accounts.rotate("dev")
    assert world.accounts.get("dev") == before
    assert len(world.told) == told
