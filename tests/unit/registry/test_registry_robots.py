"""Robot accounts: their file, and what a registry makes of it from one request to the next."""

import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fakes.clock import START, VirtualClock
from fakes.registry_api import Api, open_api
from towpath.errors import ConflictError, IntegrityError, NotFoundError, TowpathError, UserError
from towpath.http.credentials import SecretChecker
from towpath.registry.accounts import Account, Accounts, Grant
from towpath.registry.robots import ACTIONS, FILE, RobotFile

PUSHER = (Grant("lab/*", ACTIONS["push"]),)
DAY = 86_400.0


@pytest.fixture
def robots(tmp_path: Path) -> RobotFile:
    return RobotFile(tmp_path / "registry")


@pytest.fixture
async def served(tmp_path: Path, robots: RobotFile) -> AsyncIterator[Api]:
    clock = VirtualClock()
    accounts = Accounts([], checker=SecretChecker(key=b"k" * 16), robots=robots, clock=clock)
    async with open_api(tmp_path / "registry", clock, accounts=accounts) as api:
        yield api


async def status(api: Api, name: str, secret: str) -> int:
    return (await api.client.get("/v2/lab/app/tags/list", auth=(name, secret))).status_code


async def token(api: Api, name: str, secret: str) -> str:
    query = "/token?scope=repository:lab/app:pull,push"
    made: str = (await api.client.get(query, auth=(name, secret))).json()["token"]
    return made


async def status_with(api: Api, made: str) -> int:
    headers = {"Authorization": f"Bearer {made}"}
    return (await api.client.get("/v2/lab/app/tags/list", headers=headers)).status_code


def test_a_secret_is_shown_once_and_is_nowhere_on_disk(tmp_path: Path, robots: RobotFile) -> None:
    made = robots.create("ci", PUSHER, now=START)
    assert made.secret.startswith("twr_")
    assert len(made.secret) > 40  # 256 bits in base64
    content = (tmp_path / "registry" / FILE).read_text()
    assert made.secret not in content
    assert made.secret not in repr(made)
    assert "pbkdf2" not in repr(made.robot)
    assert (tmp_path / "registry" / FILE).stat().st_mode & 0o777 == 0o600


def test_robots_are_there_again_for_another_process(tmp_path: Path, robots: RobotFile) -> None:
    robots.create("ci", PUSHER, now=START, expires_at=START + DAY)
    robots.create("audit", (Grant("*", ACTIONS["pull"]),), now=START)
    again = RobotFile(tmp_path / "registry").list()
    assert again == robots.list()
    assert [robot.name for robot in again] == ["audit", "ci"]
    assert again[1].expires_at == START + DAY


async def test_what_another_process_writes_counts_from_the_next_request_on(served: Api, tmp_path: Path) -> None:
    elsewhere = RobotFile(tmp_path / "registry")
    made = elsewhere.create("ci", PUSHER, now=START)
    assert await status(served, "ci", made.secret) == 404  # let in: there is no such repository
    outstanding = await token(served, "ci", made.secret)
    assert await status_with(served, outstanding) == 404

    elsewhere.revoke("ci")

    assert await status(served, "ci", made.secret) == 401
    assert await status_with(served, outstanding) == 401


async def test_a_robot_of_the_same_name_does_not_inherit_the_tokens(served: Api, robots: RobotFile) -> None:
    outstanding = await token(served, "ci", robots.create("ci", PUSHER, now=START).secret)
    robots.revoke("ci")
    robots.create("ci", PUSHER, now=START)
    assert await status_with(served, outstanding) == 401


async def test_an_expired_robot_is_out_with_its_tokens(served: Api, robots: RobotFile) -> None:
    made = robots.create("ci", PUSHER, now=START, expires_at=START + 60)
    outstanding = await token(served, "ci", made.secret)
    await served.clock.advance(59)
    assert (await status(served, "ci", made.secret), await status_with(served, outstanding)) == (404, 404)
    await served.clock.advance(1)
    assert (await status(served, "ci", made.secret), await status_with(served, outstanding)) == (401, 401)


async def test_rotation_ends_the_old_secret_at_once_or_after_an_overlap(served: Api, robots: RobotFile) -> None:
    first = robots.create("ci", PUSHER, now=START).secret
    second = robots.rotate("ci", now=START).secret
    assert (await status(served, "ci", first), await status(served, "ci", second)) == (401, 404)

    third = robots.rotate("ci", now=START, overlap_seconds=60).secret
    assert (await status(served, "ci", second), await status(served, "ci", third)) == (404, 404)
    await served.clock.advance(60)
    assert (await status(served, "ci", second), await status(served, "ci", third)) == (401, 404)


async def test_pushers_may_pull_and_pullers_may_not_push(served: Api, robots: RobotFile) -> None:
    for permission, expected in (("pull", 403), ("push", 202)):
        made = robots.create(permission, (Grant("lab/*", ACTIONS[permission]),), now=START)
        auth = (permission, made.secret)
        assert (await served.client.post("/v2/lab/app/blobs/uploads/", auth=auth)).status_code == expected
        assert (await served.client.get("/v2/lab/app/tags/list", auth=auth)).status_code == 404
        assert (await served.client.get("/v2/other/app/tags/list", auth=auth)).status_code == 403


def test_rotation_never_makes_a_secret_live_longer_than_it_would(robots: RobotFile) -> None:
    robots.create("ci", PUSHER, now=START, expires_at=START + 60)
    rotated = robots.rotate("ci", now=START, overlap_seconds=3600).robot
    assert [one.expires_at for one in rotated.secrets] == [START + 60, START + 60]
    with pytest.raises(ConflictError, match="Expired"):
        robots.rotate("ci", now=START + 60)


@pytest.mark.parametrize(
    "name", ["", "CI", "-ci", "ci-", "c i", "a" * 64, "ci:x", "towpath", "anonymous", "pull-dev", "../ci"]
)
def test_names_that_are_none_are_refused(robots: RobotFile, name: str) -> None:
    with pytest.raises(UserError, match="BadName"):
        robots.create(name, PUSHER, now=START)
    assert robots.list() == []


@pytest.mark.parametrize("glob", ["", "127.0.0.1:7070/home/*", "Home/*", "home/[ab]", "/home", "home/?"])
def test_repositories_that_are_none_are_refused(robots: RobotFile, glob: str) -> None:
    with pytest.raises(UserError, match="BadRepository"):
        robots.create("ci", (Grant(glob),), now=START)


def test_a_name_is_taken_once(robots: RobotFile) -> None:
    robots.create("ci", PUSHER, now=START)
    with pytest.raises(ConflictError, match="Exists"):
        robots.create("ci", PUSHER, now=START)
    for act in (robots.revoke, lambda name: robots.rotate(name, now=START)):
        with pytest.raises(NotFoundError, match="there are ci"):
            act("other")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 1}', '{"version": 1, "robots": [{"name": "x"}]}'])
async def test_a_damaged_file_lets_nobody_in_and_is_not_overwritten(
    served: Api, robots: RobotFile, content: str
) -> None:
    made = robots.create("ci", PUSHER, now=START)
    path = served.root / FILE
    path.write_text(content)
    assert await status(served, "ci", made.secret) == 401
    with pytest.raises(IntegrityError, match="Damaged"):
        robots.list()
    with pytest.raises(IntegrityError, match="Damaged"):
        robots.create("other", PUSHER, now=START)
    assert path.read_text() == content


def test_a_file_of_another_version_is_left_alone(robots: RobotFile, tmp_path: Path) -> None:
    robots.create("ci", PUSHER, now=START)
    path = tmp_path / "registry" / FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 2}))
    assert robots.find("ci") is None
    with pytest.raises(UserError, match="Version"):
        robots.revoke("ci")


def test_a_directory_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TowpathError, match="cannot be changed"):
        RobotFile(tmp_path / "file" / "registry").create("ci", PUSHER, now=START)


def test_writers_take_turns_and_lose_nothing(tmp_path: Path) -> None:
    root = tmp_path / "registry"

    def create(number: int) -> None:
        RobotFile(root).create(f"ci-{number}", PUSHER, now=START)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(create, range(24)))
    assert len(RobotFile(root).list()) == 24


def test_a_robot_never_stands_in_for_an_account_of_the_program(robots: RobotFile) -> None:
    robots.create("audit", PUSHER, now=START)
    own = Account("audit", (), ())
    accounts = Accounts([own], checker=SecretChecker(key=b"k" * 16), robots=robots)
    assert accounts.find("audit") is own
