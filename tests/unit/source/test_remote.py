import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from fakes.clock import START, VirtualClock
from fakes.worktree import Worktree
from towpath.source.events import NO_COMMIT, PushEvent
from towpath.source.remote import RemoteSource
from towpath.source.repository import GitRepository
from towpath.source.upstream import Upstream, UpstreamError

MAIN = "refs/heads/main"


class Following:
    """A remote by path, its mirror, the follower, and what it told."""

    def __init__(self, tmp_path: Path, origin: GitRepository) -> None:
        self.clock = VirtualClock()
        self.events: list[PushEvent] = []
        self.failing = False
        self.drawn = 0.0
        self.origin = origin
        upstream = Upstream(str(origin.path))
        self.mirror = GitRepository(tmp_path / "mirror.git", upstream=upstream, clock=self.clock)
        self.source = RemoteSource(
            "owner/lab", upstream, self.mirror, self.take, clock=self.clock, draw=lambda: self.drawn
        )

    async def take(self, event: PushEvent) -> None:
        if self.failing:
            raise ConnectionError("not now")
        self.events.append(event)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Real git children run meanwhile, so real time passes; the virtual clock stands still."""
        async with asyncio.timeout(120):
            while not condition():  # noqa: ASYNC110 - the end of a git child sets no event of ours
                await asyncio.sleep(0.001)

    async def until_it_waits(self) -> None:
        await self.until(lambda: self.clock.sleepers == 1)

    async def advance(self, seconds: float) -> None:
        await self.clock.advance(seconds)
        await self.until_it_waits()

    def take_changes(self) -> list[tuple[str, str, str]]:
        taken = [(event.ref, event.before, event.after) for event in self.events]
        self.events.clear()
        return taken


@pytest.fixture
async def following(tmp_path: Path, repository: GitRepository) -> AsyncIterator[Following]:
    made = Following(tmp_path, repository)
    yield made
    await made.source.close()


async def test_what_is_there_at_the_start_is_fetched_and_told(following: Following, worktree: Worktree) -> None:
    one = worktree.commit({"a": "1"})
    worktree.push()
    await following.source.start()
    await following.until_it_waits()
    assert following.take_changes() == [(MAIN, NO_COMMIT, one)]
    assert await following.mirror.read("main", "a") == b"1"
    status = following.source.status
    assert (status.last_success_at, status.failures, status.problem) == (START, 0, "")
    assert status.next_look_at == START + 60


async def test_an_empty_remote_is_followed_until_something_comes(following: Following, worktree: Worktree) -> None:
    await following.source.start()
    await following.until_it_waits()
    assert following.take_changes() == []
    one = worktree.commit({"a": "1"})
    worktree.push()
    await following.advance(61)
    assert following.take_changes() == [(MAIN, NO_COMMIT, one)]


async def test_without_any_hint_polling_finds_pushes_force_pushes_and_deletions(
    following: Following, worktree: Worktree
) -> None:
    one, two = worktree.commit({"a": "1"}), worktree.commit({"a": "2"})
    worktree.push("main", "main:topic")
    await following.source.start()
    await following.until_it_waits()
    following.take_changes()
    worktree.push("--force", f"{one}:main")
    worktree.push("--delete", "topic")
    await following.advance(61)
    assert following.take_changes() == [(MAIN, two, one), ("refs/heads/topic", two, NO_COMMIT)]


async def test_a_hint_is_looked_after_at_once(following: Following, worktree: Worktree) -> None:
    await following.source.start()
    await following.until_it_waits()
    one = worktree.commit({"a": "1"})
    worktree.push()
    following.source.hint(PushEvent("owner/lab", MAIN, NO_COMMIT, one, 1234.5, "ada"))
    await following.until(lambda: bool(following.events))
    assert following.events == [PushEvent("owner/lab", MAIN, NO_COMMIT, one, 1234.5, "ada")]
    assert following.source.status.last_hint_at == START


async def test_two_pushes_at_the_same_moment_end_in_the_newest_commit(following: Following, worktree: Worktree) -> None:
    await following.source.start()
    await following.until_it_waits()
    one = worktree.commit({"a": "1"})
    worktree.push()
    following.source.hint(PushEvent("owner/lab", MAIN, NO_COMMIT, one, START))
    two = worktree.commit({"a": "2"})
    worktree.push()
    following.source.hint(PushEvent("owner/lab", MAIN, one, two, START))
    await following.until(lambda: bool(following.events) and following.events[-1].after == two)
    assert following.take_changes() in ([(MAIN, NO_COMMIT, two)], [(MAIN, NO_COMMIT, one), (MAIN, one, two)])


async def test_a_hint_that_comes_before_the_push_is_to_be_seen_is_looked_after_again_soon(
    following: Following, worktree: Worktree
) -> None:
    await following.source.start()
    await following.until_it_waits()
    one = worktree.commit({"a": "1"})
    following.source.hint(PushEvent("owner/lab", MAIN, NO_COMMIT, one, START))
    await following.until(lambda: following.source.status.next_look_at == START + 1)
    worktree.push()
    await following.advance(1.1)
    assert following.take_changes() == [(MAIN, NO_COMMIT, one)]
    assert following.source.status.next_look_at > START + 60


async def test_a_hint_for_what_never_comes_is_given_up(following: Following) -> None:
    await following.source.start()
    await following.until_it_waits()
    following.source.hint(PushEvent("owner/lab", MAIN, NO_COMMIT, "a" * 40, START))
    await following.until(lambda: following.source.status.next_look_at == START + 1)
    for seconds in (1, 3, 10):
        await following.until_it_waits()
        await following.advance(seconds)
    await following.until(lambda: following.source.status.next_look_at == START + 14 + 60)


async def test_a_remote_that_is_away_is_retried_less_and_less_often_and_reported(
    following: Following, worktree: Worktree, tmp_path: Path
) -> None:
    one = worktree.commit({"a": "1"})
    worktree.push()
    following.origin.path.rename(tmp_path / "away")
    following.drawn = 1.0
    await following.source.start()
    await following.until_it_waits()
    delays = []
    for _ in range(9):
        delays.append(following.source.status.next_look_at - following.clock.now())
        await following.advance(delays[-1])
    assert delays == [2, 4, 8, 16, 32, 64, 128, 256, 300]
    assert following.source.status.failures == 10
    assert "(NotFound)" in following.source.status.problem
    assert following.source.status.last_success_at is None
    (tmp_path / "away").rename(following.origin.path)
    following.source.hint()
    await following.until(lambda: following.source.status.failures == 0)
    assert following.take_changes() == [(MAIN, NO_COMMIT, one)]
    assert following.source.status.problem == ""


async def test_a_remote_that_goes_away_leaves_the_mirror_as_it_was(
    following: Following, worktree: Worktree, tmp_path: Path
) -> None:
    worktree.commit({"a": "1"})
    worktree.push()
    await following.source.start()
    await following.until_it_waits()
    following.origin.path.rename(tmp_path / "away")
    with pytest.raises(UpstreamError):
        await following.source.look()
    assert await following.mirror.read("main", "a") == b"1"


async def test_what_was_not_handled_is_told_again_soon(following: Following, worktree: Worktree) -> None:
    one = worktree.commit({"a": "1"})
    worktree.push()
    following.failing = True
    await following.source.start()
    await following.until_it_waits()
    assert following.source.status.problem == "a push was not handled; it is told again"
    following.failing = False
    await following.advance(2)
    assert following.take_changes() == [(MAIN, NO_COMMIT, one)]


async def test_polls_have_jitter(following: Following) -> None:
    following.drawn = 0.5
    await following.source.start()
    await following.until_it_waits()
    assert following.source.status.next_look_at == pytest.approx(START + 63)


async def test_a_webhook_is_matched_by_name_or_url(following: Following) -> None:
    path = str(following.origin.path).removesuffix(".git").lstrip("/")
    for name, meant in (("owner/lab", True), (path, True), ("owner/other", False)):
        assert following.source.meant_by(PushEvent(name, MAIN, NO_COMMIT, NO_COMMIT, 0)) is meant
