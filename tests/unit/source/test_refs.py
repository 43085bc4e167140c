import asyncio

import pytest

from fakes.clock import START, VirtualClock
from fakes.worktree import Worktree
from towpath.source.events import NO_COMMIT, PushEvent
from towpath.source.refs import HANDLED_FILE, RefWatch
from towpath.source.repository import GitRepository


class Listener:
    """Keeps the events; fails as long as it is told to."""

    def __init__(self) -> None:
        self.events: list[PushEvent] = []
        self.failing: set[str] = set()

    async def __call__(self, event: PushEvent) -> None:
        if event.ref in self.failing:
            raise ConnectionError("the receiver is down")
        self.events.append(event)

    def take(self) -> list[tuple[str, str, str]]:
        taken = [(event.ref, event.before, event.after) for event in self.events]
        self.events.clear()
        return taken


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def watch(repository: GitRepository, listener: Listener, clock: VirtualClock) -> RefWatch:
    return RefWatch("lab", repository, listener, clock=clock)


MAIN, TOPIC = "refs/heads/main", "refs/heads/topic"


async def test_each_change_of_a_ref_is_told_once(watch: RefWatch, worktree: Worktree, listener: Listener) -> None:
    assert await watch.look()
    assert listener.take() == []
    one = worktree.commit({"a": "1"})
    worktree.push()
    await watch.look(received_at=7.5, pusher="ada")
    assert listener.events == [PushEvent("lab", MAIN, NO_COMMIT, one, 7.5, "ada")]
    listener.take()
    await watch.look()
    assert listener.take() == []


async def test_a_change_nobody_announced_is_stamped_with_the_time_it_was_found(
    watch: RefWatch, worktree: Worktree, listener: Listener
) -> None:
    worktree.commit({"a": "1"})
    worktree.push()
    await watch.look()
    assert (listener.events[0].received_at, listener.events[0].pusher) == (START, "")


async def test_force_pushes_deletions_and_tags_are_changes(
    watch: RefWatch, worktree: Worktree, listener: Listener
) -> None:
    one, two = worktree.commit({"a": "1"}), worktree.commit({"a": "2"})
    worktree.git("tag", "v1", one)
    worktree.push("main", "main:topic", "v1")
    await watch.look()
    assert listener.take() == [
        (MAIN, NO_COMMIT, two),
        (TOPIC, NO_COMMIT, two),
        ("refs/tags/v1", NO_COMMIT, one),
    ]
    worktree.push("--force", f"{one}:main")
    worktree.push("--delete", "topic", "v1")
    await watch.look()
    assert listener.take() == [(MAIN, two, one), (TOPIC, two, NO_COMMIT), ("refs/tags/v1", one, NO_COMMIT)]


async def test_a_branch_replaced_by_one_of_its_own_name_as_directory_is_two_changes(
    watch: RefWatch, worktree: Worktree, listener: Listener
) -> None:
    one = worktree.commit({"a": "1"})
    worktree.push("main", "main:topic")
    await watch.look()
    listener.take()
    worktree.push("--delete", "topic")
    worktree.push("main:topic/a")
    await watch.look()
    assert listener.take() == [(TOPIC, one, NO_COMMIT), (f"{TOPIC}/a", NO_COMMIT, one)]


async def test_two_pushes_between_two_looks_end_in_the_newest_commit(
    watch: RefWatch, worktree: Worktree, listener: Listener
) -> None:
    one = worktree.commit({"a": "1"})
    worktree.push()
    await watch.look()
    listener.take()
    worktree.commit({"a": "2"})
    worktree.push()
    three = worktree.commit({"a": "3"})
    worktree.push()
    await asyncio.gather(watch.look(), watch.look(), watch.look())
    assert listener.take() == [(MAIN, one, three)]


async def test_the_handled_state_outlives_the_process(
    watch: RefWatch, repository: GitRepository, worktree: Worktree, listener: Listener, clock: VirtualClock
) -> None:
    one = worktree.commit({"a": "1"})
    worktree.push()
    await watch.look()
    listener.take()
    two = worktree.commit({"a": "2"})
    worktree.push()
    await RefWatch("lab", repository, listener, clock=clock).look()
    assert listener.take() == [(MAIN, one, two)]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"7"])
async def test_a_lost_or_damaged_state_tells_everything_again(
    repository: GitRepository, worktree: Worktree, listener: Listener, clock: VirtualClock, damage: bytes
) -> None:
    one = worktree.commit({"a": "1"})
    worktree.push()
    (repository.path / HANDLED_FILE).write_bytes(damage)
    await RefWatch("lab", repository, listener, clock=clock).look()
    assert listener.take() == [(MAIN, NO_COMMIT, one)]


async def test_what_was_not_handled_is_told_again_and_holds_up_nothing_else(
    watch: RefWatch, worktree: Worktree, listener: Listener
) -> None:
    one = worktree.commit({"a": "1"})
    worktree.push("main", "main:topic")
    listener.failing = {MAIN}
    assert not await watch.look()
    assert listener.take() == [(TOPIC, NO_COMMIT, one)]
    listener.failing = set()
    assert await watch.look()
    assert listener.take() == [(MAIN, NO_COMMIT, one)]


async def wait_for_sleeper(clock: VirtualClock) -> None:
    async with asyncio.timeout(120):
        while not clock.sleepers:  # noqa: ASYNC110 - real git children run in between; nobody could set an event
            await asyncio.sleep(0.001)


async def test_on_start_and_from_time_to_time_lost_pushes_are_found(
    watch: RefWatch, worktree: Worktree, listener: Listener, clock: VirtualClock
) -> None:
    one = worktree.commit({"a": "1"})
    worktree.push()
    await watch.start()
    try:
        await wait_for_sleeper(clock)
        assert listener.take() == [(MAIN, NO_COMMIT, one)]
        two = worktree.commit({"a": "2"})
        worktree.push()
        await clock.advance(61)
        await wait_for_sleeper(clock)
        assert listener.take() == [(MAIN, one, two)]
    finally:
        await watch.close()


async def test_a_failing_listener_is_told_again_soon_and_then_less_often(
    watch: RefWatch, worktree: Worktree, listener: Listener, clock: VirtualClock
) -> None:
    one = worktree.commit({"a": "1"})
    worktree.push()
    listener.failing = {MAIN}
    await watch.start()
    try:
        await wait_for_sleeper(clock)
        await clock.advance(0.5)
        await wait_for_sleeper(clock)
        listener.failing = set()
        await clock.advance(0.9)
        assert listener.take() == []
        await clock.advance(0.2)
        await wait_for_sleeper(clock)
        assert listener.take() == [(MAIN, NO_COMMIT, one)]
    finally:
        await watch.close()
