"""The real git as client of our host: clone, push, force, delete, fetch, over a real socket."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.worktree import Worktree, branches_of
from towpath.http.server import Listener
from towpath.source.events import NO_COMMIT, PushEvent
from towpath.source.host import GitHost, create_git_app
from towpath.source.repository import GitRepository


class World:
    """A host with one repository, and what it told about pushes."""

    def __init__(self, repository: GitRepository) -> None:
        self.repository = repository
        self.events: asyncio.Queue[PushEvent] = asyncio.Queue()
        self.host = GitHost({"lab": repository}, self.authenticate, self.events.put)
        self.listener = Listener(create_git_app(self.host))

    async def authenticate(self, username: str, password: str, /) -> str | None:
        return username if password == "s3cret:with:colons" else None

    @property
    def url(self) -> str:
        return f"http://ada:s3cret%3Awith%3Acolons@{self.listener.address}/lab.git"

    async def next_event(self) -> PushEvent:
        return await asyncio.wait_for(self.events.get(), 10)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    repository = GitRepository(tmp_path / "lab.git")
    await repository.init()
    made = World(repository)
    await made.listener.start()
    yield made
    await made.listener.close()
    await made.host.close()


@pytest.fixture
def worktree(tmp_path: Path, world: World) -> Worktree:
    return Worktree(tmp_path / "work", world.url)


async def git(worktree: Worktree, *arguments: str, check: bool = True) -> str:
    """The client runs in a thread: the server needs the event loop."""
    return await asyncio.to_thread(worktree.git, *arguments, check=check)


@pytest.mark.parametrize("version", ["0", "1", "2"])
async def test_push_clone_and_fetch_in_every_protocol_version(
    world: World, worktree: Worktree, tmp_path: Path, version: str
) -> None:
    worktree.git("config", "protocol.version", version)
    one = worktree.commit({"a": "1", "big": os.urandom(3_000_000)})
    await git(worktree, "push", "--quiet", "origin", "main")
    event = await world.next_event()
    assert (event.repository, event.ref, event.before, event.after) == ("lab", "refs/heads/main", NO_COMMIT, one)
    assert event.pusher == "ada"

    other = Worktree(tmp_path / "other", world.url)
    other.git("config", "protocol.version", version)
    await git(other, "pull", "--quiet", "origin", "main")
    assert (other.path / "big").read_bytes() == (worktree.path / "big").read_bytes()

    two = worktree.commit({"a": "2"})
    await git(worktree, "push", "--quiet", "origin", "main")
    assert (await world.next_event()).before == one
    await git(other, "fetch", "--quiet", "origin")
    assert other.git("rev-parse", "origin/main") == two


async def test_cloning_an_empty_repository_gives_an_empty_clone(world: World, tmp_path: Path) -> None:
    outside = Worktree(tmp_path / "outside")
    said = await git(outside, "clone", world.url, "clone", check=False)
    assert "You appear to have cloned an empty repository" in said
    assert (tmp_path / "outside/clone/.git/HEAD").read_text() == "ref: refs/heads/main\n"


async def test_shallow_and_partial_clones_work(world: World, worktree: Worktree, tmp_path: Path) -> None:
    worktree.commit({"a": "1"})
    worktree.commit({"a": "2"})
    await git(worktree, "push", "--quiet", "origin", "main")
    outside = Worktree(tmp_path / "outside")
    await git(outside, "clone", "--quiet", "--depth=1", world.url, "shallow")
    await git(outside, "clone", "--quiet", "--filter=blob:none", world.url, "partial")
    assert outside.git("-C", "shallow", "rev-list", "--count", "HEAD") == "1"
    assert (tmp_path / "outside/partial/a").read_text() == "2"


async def test_wrong_credentials_are_refused_without_a_prompt(world: World, worktree: Worktree) -> None:
    worktree.commit({"a": "1"})
    said = await git(worktree, "push", f"http://ada:wrong@{world.listener.address}/lab.git", "main", check=False)
    assert "Authentication failed" in said
    assert await branches_of(world.repository) == {}


async def test_a_force_push_is_taken_and_told(world: World, worktree: Worktree) -> None:
    one, two = worktree.commit({"a": "1"}), worktree.commit({"a": "2"})
    await git(worktree, "push", "--quiet", "origin", "main")
    await world.next_event()
    said = await git(worktree, "push", "origin", f"{one}:main", check=False)
    assert "non-fast-forward" in said
    await git(worktree, "push", "--quiet", "--force", "origin", f"{one}:main")
    event = await world.next_event()
    assert (event.before, event.after) == (two, one)


async def test_a_branch_can_be_deleted_but_not_the_one_everything_follows(world: World, worktree: Worktree) -> None:
    one = worktree.commit({"a": "1"})
    await git(worktree, "push", "--quiet", "origin", "main", "main:topic")
    assert {(await world.next_event()).ref for _ in range(2)} == {"refs/heads/main", "refs/heads/topic"}
    await git(worktree, "push", "--quiet", "origin", "--delete", "topic")
    event = await world.next_event()
    assert (event.ref, event.before, event.deleted) == ("refs/heads/topic", one, True)
    said = await git(worktree, "push", "origin", "--delete", "main", check=False)
    assert "deletion of the current branch prohibited" in said
    assert await branches_of(world.repository) == {"main": one}


async def test_an_atomic_push_moves_all_refs_or_none(world: World, worktree: Worktree) -> None:
    worktree.commit({"a": "1"})
    await git(worktree, "push", "--quiet", "origin", "main")
    await world.next_event()
    said = await git(worktree, "push", "--atomic", "origin", "main:new", ":main", check=False)
    assert "prohibited" in said
    assert list(await branches_of(world.repository)) == ["main"]


async def test_pushes_at_the_same_moment_are_all_told(world: World, worktree: Worktree, tmp_path: Path) -> None:
    worktree.commit({"a": "1"})
    await git(worktree, "push", "--quiet", "origin", "main")
    await world.next_event()
    clones = [Worktree(tmp_path / f"clone{number}", world.url) for number in range(4)]
    commits = [clone.commit({"a": str(number)}) for number, clone in enumerate(clones)]
    await asyncio.gather(
        *(git(clone, "push", "--quiet", "origin", f"main:t{number}") for number, clone in enumerate(clones))
    )
    events = [await world.next_event() for _ in clones]
    assert {event.ref: event.after for event in events} == {
        f"refs/heads/t{number}": commit for number, commit in enumerate(commits)
    }


async def test_objects_that_break_gits_rules_are_refused(world: World, worktree: Worktree) -> None:
    blob = worktree.git("hash-object", "-w", "--stdin", stdin=b"[core]\n\thooksPath = /tmp\n")
    raw = b"100644 .git\x00" + bytes.fromhex(blob)
    tree = worktree.git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=raw)
    commit = worktree.git("commit-tree", tree, "-m", "evil")
    said = await git(worktree, "push", "origin", f"{commit}:refs/heads/main", check=False)
    assert "hasDotgit" in said
    assert await branches_of(world.repository) == {}


async def test_our_own_refs_cannot_be_pushed(worktree: Worktree) -> None:
    worktree.commit({"a": "1"})
    said = await git(worktree, "push", "origin", "main:refs/towpath/x", check=False)
    assert "deny updating a hidden ref" in said


async def test_notes_can_be_fetched_and_pushed(world: World, worktree: Worktree) -> None:
    one = worktree.commit({"a": "1"})
    await git(worktree, "push", "--quiet", "origin", "main")
    await world.repository.append_note(one, "healthy")
    await git(worktree, "fetch", "--quiet", "origin", "refs/notes/towpath:refs/notes/towpath")
    worktree.git("notes", "--ref=towpath", "append", "-m", "by hand", one)
    await git(worktree, "push", "--quiet", "origin", "refs/notes/towpath")
    assert [line for line in await world.repository.notes(one) if line] == ["healthy", "by hand"]


async def test_a_hook_in_the_repository_is_never_run(world: World, worktree: Worktree, tmp_path: Path) -> None:
    hook = world.repository.path / "hooks" / "post-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    worktree.commit({"a": "1"})
    await git(worktree, "push", "--quiet", "origin", "main")
    await world.next_event()
    assert not (tmp_path / "ran").exists()


async def test_a_push_made_while_nobody_listened_is_told_on_start(world: World, worktree: Worktree) -> None:
    one = worktree.commit({"a": "1"})
    worktree.git("push", "--quiet", str(world.repository.path), "main")
    await world.host.start()
    assert (await world.next_event()).after == one
