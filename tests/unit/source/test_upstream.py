import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fakes.worktree import Worktree, branches_of
from towpath.errors import RemoteError, UserError
from towpath.http.server import Listener
from towpath.source.events import PushEvent
from towpath.source.host import GitHost, create_git_app
from towpath.source.repository import NOTES, GitRepository, StaleBranchError
from towpath.source.upstream import Upstream, UpstreamError, UpstreamRefusedError, local_refs

ADA = "Ada <ada@example.org>"
MAIN = "refs/heads/main"


async def authenticate(username: str, password: str, /) -> str | None:
    return username if password == "s3cret" else None


async def ignore(event: PushEvent) -> None:
    del event


@pytest.fixture
async def url(repository: GitRepository) -> AsyncIterator[str]:
    """The repository, served over HTTP with credentials."""
    host = GitHost({"lab": repository}, authenticate, ignore)
    listener = Listener(create_git_app(host))
    await listener.start()
    yield f"{listener.url}/lab.git"
    await listener.close()
    await host.close()


@pytest.fixture
def upstream(url: str) -> Upstream:
    return Upstream(url, "ada", "s3cret")


@pytest.fixture
async def mirror(tmp_path: Path, upstream: Upstream) -> GitRepository:
    made = GitRepository(tmp_path / "mirror.git", upstream=upstream)
    await made.init()
    return made


async def test_an_empty_repository_has_no_refs_and_is_mirrored(upstream: Upstream, mirror: GitRepository) -> None:
    assert await upstream.refs() == {}
    await upstream.fetch(mirror.path)
    assert await local_refs(mirror.path) == {}


async def test_a_fetch_makes_the_mirror_the_same(
    upstream: Upstream, mirror: GitRepository, repository: GitRepository, worktree: Worktree
) -> None:
    one = worktree.commit({"a": "1"})
    worktree.git("tag", "--annotate", "v1", "--message", "one")
    two = worktree.commit({"a": "2"})
    worktree.push("main", "main:topic", "v1", "HEAD:refs/pull/1/head")
    await repository.append_note(one, "healthy")
    await upstream.fetch(mirror.path)
    assert await upstream.refs() == await local_refs(mirror.path)
    assert await mirror.refs() == {MAIN: two, "refs/heads/topic": two, "refs/tags/v1": one}
    assert await mirror.notes(one) == ["healthy"]

    worktree.push("--force", f"{one}:main")
    worktree.push("--delete", "topic", "v1")
    worktree.push(f"{two}:refs/heads/topic/below")  # where a branch of the parent's name was
    await upstream.fetch(mirror.path)
    assert await mirror.refs() == {MAIN: one, "refs/heads/topic/below": two}


async def test_a_commit_on_the_mirror_goes_to_the_remote_first(
    upstream: Upstream, mirror: GitRepository, repository: GitRepository, worktree: Worktree
) -> None:
    parent = worktree.commit({"a": "1"})
    worktree.push()
    await upstream.fetch(mirror.path)
    commit = await mirror.commit_files("main", {"a": b"2"}, message="x", author=ADA, parent=parent)
    await mirror.append_note(commit, "promoted")
    for each in (mirror, repository):
        assert await branches_of(each) == {"main": commit}
        assert await each.notes(commit) == ["promoted"]
    assert NOTES in await upstream.refs()


async def test_the_first_commit_of_an_empty_remote_can_be_made(
    mirror: GitRepository, repository: GitRepository
) -> None:
    commit = await mirror.commit_files("main", {"a": b"1"}, message="x", author=ADA, parent=None)
    assert await branches_of(repository) == {"main": commit}


async def test_a_commit_on_a_mirror_that_is_behind_is_stale_and_changes_neither(
    upstream: Upstream, mirror: GitRepository, repository: GitRepository, worktree: Worktree
) -> None:
    parent = worktree.commit({"a": "1"})
    worktree.push()
    await upstream.fetch(mirror.path)
    theirs = worktree.commit({"a": "2"})
    worktree.push()
    with pytest.raises(StaleBranchError):
        await mirror.commit_files("main", {"b": b"1"}, message="x", author=ADA, parent=parent)
    assert await branches_of(repository) == {"main": theirs}
    assert await branches_of(mirror) == {"main": parent}


async def test_a_branch_the_remote_protects_is_reported_with_what_to_do(
    upstream: Upstream, repository: GitRepository, worktree: Worktree
) -> None:
    one = worktree.commit({"a": "1"})
    worktree.push()
    with pytest.raises(UpstreamRefusedError, match="does not take a commit") as caught:
        await upstream.move(repository.path, "refs/towpath/x", new=one, old=None)
    assert "protection" in caught.value.hint


async def test_wrong_credentials_are_told_apart(url: str) -> None:
    for upstream in (Upstream(url, "ada", "wrong"), Upstream(url)):
        with pytest.raises(UpstreamError, match="Unauthorized"):
            await upstream.refs()


async def test_the_password_is_in_no_argument_and_goes_to_no_other_origin(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = tmp_path / "record"
    (tmp_path / "git").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {record}\n')
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    await Upstream(url, "ada", "s3cret").refs()
    arguments = record.read_text()
    assert "s3cret" not in arguments
    origin = url.removesuffix("/lab.git")
    helpers = [line for line in arguments.splitlines() if line.startswith("credential.")]
    assert [line.partition(".helper")[0] for line in helpers] == ["credential", f"credential.{origin}"]


async def test_a_repository_that_is_not_there_is_told_apart(url: str, tmp_path: Path) -> None:
    with pytest.raises(UpstreamError, match="NotFound"):
        await Upstream(url.replace("lab", "none"), "ada", "s3cret").refs()
    with pytest.raises(UpstreamError, match="NotFound"):
        await Upstream(str(tmp_path / "nothing")).refs()


async def answer_500(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive
    await send({"type": "http.response.start", "status": 500, "headers": []})
    await send({"type": "http.response.body", "body": b"down"})


async def hang(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await asyncio.Event().wait()


async def test_a_remote_that_answers_500_is_an_error_of_ours() -> None:
    listener = Listener(answer_500)
    await listener.start()
    with pytest.raises(UpstreamError, match=r"could not be read \(Unreachable\).*500"):
        await Upstream(f"{listener.url}/x.git").refs()
    await listener.close()


async def test_a_remote_that_hangs_is_given_up() -> None:
    listener = Listener(hang, grace_seconds=0)
    await listener.start()
    with pytest.raises(RemoteError, match=r"Operation too slow"):
        await Upstream(f"{listener.url}/x.git", speed_floor_seconds=1).refs()
    await listener.close()


async def test_a_remote_that_is_down_is_an_error_of_ours() -> None:
    with pytest.raises(UpstreamError, match="Unreachable"):
        await Upstream("http://127.0.0.1:1/x.git").refs()


class LosingAnswers:
    """Carries requests out; from when it is told to, the answers of pushes are lost on the way."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.losing = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def swallow(message: Message) -> None:
            del message

        if self.losing and scope["path"].endswith("/git-receive-pack"):
            await self._app(scope, receive, swallow)
            await answer_500(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class Between:
    """Carries requests out; before objects are asked for, something happens once. Counts the lists of refs."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.happening: Callable[[], Awaitable[object]] | None = None
        self.lists = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not scope["path"].endswith("/git-upload-pack"):
            await self._app(scope, receive, send)
            return
        body = await Request(scope, receive).body()
        self.lists += b"command=ls-refs" in body
        if self.happening and b"command=fetch" in body:
            await self.happening()
            self.happening = None

        kept: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return kept.pop() if kept else await receive()

        await self._app(scope, replay, send)


@pytest.fixture
async def between(repository: GitRepository) -> AsyncIterator[tuple[Between, str]]:
    """The repository, served with room for something to happen; its URL."""
    host = GitHost({"lab": repository}, authenticate, ignore)
    app = Between(create_git_app(host))
    listener = Listener(app)
    await listener.start()
    yield app, f"{listener.url}/lab.git"
    await listener.close()
    await host.close()


async def test_a_ref_of_ours_that_moves_during_a_fetch_is_no_failure_of_the_remote(
    between: tuple[Between, str], worktree: Worktree, tmp_path: Path
) -> None:
    app, url = between
    upstream = Upstream(url, "ada", "s3cret")
    mirror = GitRepository(tmp_path / "mirror.git", upstream=upstream)
    await mirror.init()
    worktree.commit({"a": "1"})
    worktree.push()
    await upstream.fetch(mirror.path)
    two, three = worktree.commit({"a": "2"}), worktree.commit({"a": "3"})
    worktree.push()

    async def move() -> None:
        worktree.git("push", "--quiet", str(mirror.path), f"{two}:main")

    app.lists, app.happening = 0, move
    await upstream.fetch(mirror.path)
    assert app.lists == 2, "it was fetched once more"
    assert await branches_of(mirror) == {"main": three}


async def test_a_push_whose_answer_was_lost_is_found_to_be_done(repository: GitRepository, tmp_path: Path) -> None:
    host = GitHost({"lab": repository}, authenticate, ignore)
    app = LosingAnswers(create_git_app(host))
    listener = Listener(app)
    await listener.start()
    mirror = GitRepository(tmp_path / "mirror.git", upstream=Upstream(f"{listener.url}/lab.git", "ada", "s3cret"))
    await mirror.init()
    app.losing = True
    commit = await mirror.commit_files("main", {"a": b"1"}, message="x", author=ADA, parent=None)
    assert await branches_of(repository) == await branches_of(mirror) == {"main": commit}
    await listener.close()
    await host.close()


async def test_a_push_that_never_arrived_is_an_error_and_changes_nothing(
    mirror: GitRepository, repository: GitRepository, tmp_path: Path
) -> None:
    repository.path.rename(tmp_path / "away")
    with pytest.raises(UpstreamError):
        await mirror.commit_files("main", {"a": b"1"}, message="x", author=ADA, parent=None)
    assert await branches_of(mirror) == {}


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/owner/name.git",
        "http://127.0.0.1:3000/owner/name",
        "ssh://git@example.org:2222/owner/name.git",
        "git@example.org:owner/name.git",
        "/srv/owner/name.git",
        "file:///srv/owner/name.git",
    ],
)
def test_the_usual_forms_of_a_url_are_taken_and_mean_their_owner_and_name(url: str) -> None:
    assert Upstream(url).names("Owner/Name")
    assert not Upstream(url).names("owner/other")


@pytest.mark.parametrize(
    "url", ["", "--upload-pack=touch x", "-oProxyCommand=x:y", "ext::sh -c x", "https://a b/c", "ftp://x/y", "name"]
)
def test_what_git_could_take_for_something_else_is_refused(url: str) -> None:
    with pytest.raises(UserError, match="BadURL"):
        Upstream(url)


def test_credentials_in_a_url_are_refused_without_being_shown() -> None:
    with pytest.raises(UserError, match="Credentials") as caught:
        Upstream("https://ada:s3cret@example.org/x.git")
    assert "s3cret" not in caught.value.diagnostics()
    assert "s3cret" not in repr(Upstream("https://example.org/x.git", "ada", "s3cret"))
