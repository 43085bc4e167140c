"""The object reader, with a child that lingers and one that does not: what is pushed, packed or broken meanwhile."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from fakes.clock import VirtualClock
from fakes.worktree import Worktree
from towpath.source import git
from towpath.source.objects import ObjectReader
from towpath.source.repository import GitRepository

LINGER_SECONDS = 5.0


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture(params=[0.0, LINGER_SECONDS], ids=["each time", "lingering"])
async def reader(
    request: pytest.FixtureRequest, repository: GitRepository, clock: VirtualClock
) -> AsyncIterator[ObjectReader]:
    made = ObjectReader(repository.path, clock=clock, linger_seconds=request.param)
    yield made
    await made.close()


@pytest.fixture
async def lingering(repository: GitRepository, clock: VirtualClock) -> AsyncIterator[ObjectReader]:
    made = ObjectReader(repository.path, clock=clock, linger_seconds=LINGER_SECONDS)
    yield made
    await made.close()


def pid_of(reader: ObjectReader) -> int:
    assert reader._child is not None
    return reader._child.process.pid


async def test_objects_are_read_whole_and_what_is_missing_is_none(reader: ObjectReader, worktree: Worktree) -> None:
    content = bytes(range(256)) * 2000
    commit = worktree.commit({"a file": content, "empty": b""})
    worktree.push()
    found = await reader.read([f"{commit}:a file", f"{commit}:no such file", f"{commit}:empty", "f" * 40])
    assert [one and (one.type, one.content) for one in found] == [("blob", content), None, ("blob", b""), None]


async def test_ids_and_types_come_without_contents(reader: ObjectReader, worktree: Worktree) -> None:
    commit = worktree.commit({"directory/big": b"x" * 1_000_000})
    worktree.push()
    (tree, blob) = await reader.read([f"{commit}:directory", f"{commit}:directory/big"], contents=False)
    assert tree is not None
    assert blob is not None
    assert (tree.type, tree.content, blob.type, blob.content) == ("tree", b"", "blob", b"")


async def test_a_name_may_end_like_an_answer(reader: ObjectReader, worktree: Worktree) -> None:
    commit = worktree.commit({"is missing": b"here", "is blob 5": b"too"})
    worktree.push()
    found = await reader.read([f"{commit}:is missing", f"{commit}:is blob 5", f"{commit}:was blob 5"])
    assert [one and one.content for one in found] == [b"here", b"too", None]


async def test_one_child_answers_what_is_pushed_and_packed_while_it_lingers(
    lingering: ObjectReader, repository: GitRepository, worktree: Worktree
) -> None:
    first = worktree.commit({"file": b"1"})
    worktree.push()
    assert [one and one.id for one in await lingering.read(["refs/heads/main"])] == [first]
    child = pid_of(lingering)
    second = worktree.commit({"file": b"2"})
    worktree.push()
    assert [one and one.id for one in await lingering.read(["refs/heads/main"])] == [second]
    process = await asyncio.create_subprocess_exec("git", "-C", repository.path, "gc", "--quiet", "--prune=now")
    assert await process.wait() == 0
    third = worktree.commit({"file": b"3"})
    worktree.push()
    found = await lingering.read([f"{first}:file", f"{second}:file", f"{third}:file"])
    assert [one and one.content for one in found] == [b"1", b"2", b"3"]
    assert pid_of(lingering) == child


async def test_questions_side_by_side_get_their_own_answers(reader: ObjectReader, worktree: Worktree) -> None:
    commit = worktree.commit({f"file{number}": str(number).encode() for number in range(20)})
    worktree.push()
    answers = await asyncio.gather(*(reader.read([f"{commit}:file{number}"]) for number in range(20)))
    assert [one and one.content for (one,) in answers] == [str(number).encode() for number in range(20)]


async def test_a_child_that_was_killed_is_replaced(lingering: ObjectReader, worktree: Worktree) -> None:
    commit = worktree.commit({"file": b"1"})
    worktree.push()
    await lingering.read([commit])
    os.kill(pid_of(lingering), signal.SIGKILL)
    (found,) = await lingering.read([f"{commit}:file"])
    assert found is not None
    assert found.content == b"1"


async def test_a_question_that_is_cancelled_does_not_leave_its_answer_to_the_next(
    lingering: ObjectReader, worktree: Worktree
) -> None:
    commit = worktree.commit({"big": b"x" * 5_000_000, "small": b"y"})
    worktree.push()
    asking = asyncio.create_task(lingering.read([f"{commit}:big"] * 10))
    while lingering._child is None:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    (found,) = await lingering.read([f"{commit}:small"])
    assert found is not None
    assert found.content == b"y"


async def test_a_child_that_is_stopped_in_the_middle_of_a_long_answer_ends_at_once(
    repository: GitRepository, worktree: Worktree
) -> None:
    commit = worktree.commit({"big": b"x" * 5_000_000})
    worktree.push()
    child = await git.spawn(repository.path, "cat-file", "--batch")
    child.stdin.write(f"{commit}:big\n".encode())
    await child.stdout.readline()
    await asyncio.wait_for(child.stop(), git._GRACE_SECONDS - 1)
    assert child.process.returncode == -signal.SIGTERM


async def test_an_idle_child_is_ended(lingering: ObjectReader, worktree: Worktree, clock: VirtualClock) -> None:
    commit = worktree.commit({"file": b"1"})
    worktree.push()
    await lingering.read([commit])
    retiring = lingering._retiring
    assert retiring is not None
    await clock.advance(LINGER_SECONDS)
    await asyncio.wait_for(retiring, 10)
    assert lingering._child is None
