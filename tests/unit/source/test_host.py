"""The server's side of the protocol, request by request. `tests/e2e/test_git_hosting.py` has the real git as client."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from fakes.worktree import Worktree, branches_of
from towpath.http.credentials import format_basic
from towpath.http.server import Listener
from towpath.source.events import PushEvent
from towpath.source.host import GitHost, create_git_app
from towpath.source.repository import GitRepository

FLUSH = b"0000"
UPLOAD_TYPE = {"Content-Type": "application/x-git-upload-pack-request"}
RECEIVE_TYPE = {"Content-Type": "application/x-git-receive-pack-request"}


async def authenticate(username: str, password: str, /) -> str | None:
    return username if password == "right" else None


def authorize(account: str, repository: str, *, write: bool) -> bool:
    return repository != "hidden" and (account == "ada" or not write)


async def ignore(event: PushEvent) -> None:
    del event


@pytest.fixture
async def host(repository: GitRepository) -> AsyncIterator[GitHost]:
    repositories = {"lab": repository, "hidden": repository, "broken": GitRepository(Path("/nonexistent"))}
    made = GitHost(repositories, authenticate, ignore, authorize=authorize, largest_push_bytes=100_000)
    yield made
    await made.close()


@pytest.fixture
async def client(host: GitHost) -> AsyncIterator[httpx.AsyncClient]:
    listener = Listener(create_git_app(host))
    await listener.start()
    async with httpx.AsyncClient(base_url=listener.url, auth=("ada", "right")) as opened:
        yield opened
    await listener.close()


def pkt(line: str) -> bytes:
    return f"{len(line) + 4:04x}{line}".encode()


async def test_no_or_wrong_credentials_are_challenged(client: httpx.AsyncClient) -> None:
    for auth in (("ada", "wrong"), ("", "")):
        for path in ("/lab.git/info/refs?service=git-upload-pack", "/none.git/info/refs?service=git-upload-pack"):
            response = await client.get(path, auth=auth)
            assert response.status_code == 401
            assert response.headers["www-authenticate"].startswith("Basic realm=")
    for header in ("Basic !!!", "Basic YWRh", "Bearer right", "Basic"):
        response = await client.post("/lab.git/git-upload-pack", headers={"Authorization": header}, auth=httpx.Auth())
        assert response.status_code == 401


async def test_an_unknown_or_hidden_repository_is_not_found_and_the_known_ones_are_named(
    client: httpx.AsyncClient,
) -> None:
    for name in ("none", "hidden", "..%2flab"):
        response = await client.get(f"/{name}.git/info/refs?service=git-upload-pack")
        assert response.status_code == 404
    assert "lab.git" in (await client.get("/none.git/info/refs?service=git-upload-pack")).text


async def test_who_may_only_read_is_told_so_when_pushing(client: httpx.AsyncClient) -> None:
    auth = ("bob", "right")
    assert (await client.get("/lab.git/info/refs?service=git-upload-pack", auth=auth)).status_code == 200
    refused = await client.get("/lab.git/info/refs?service=git-receive-pack", auth=auth)
    assert (refused.status_code, refused.text) == (403, "bob may read lab.git, but not push to it\n")
    refused = await client.post("/lab.git/git-receive-pack", auth=auth, headers=RECEIVE_TYPE, content=FLUSH)
    assert refused.status_code == 403


@pytest.mark.parametrize("query", ["", "?service=git-upload-archive", "?service=../x"])
async def test_the_dumb_protocol_and_other_services_are_not_served(client: httpx.AsyncClient, query: str) -> None:
    assert (await client.get(f"/lab.git/info/refs{query}")).status_code == 403
    assert (await client.get("/lab.git/HEAD")).status_code in {404, 405}
    assert (await client.get("/lab.git/objects/info/packs")).status_code == 404


async def test_refs_are_advertised_in_the_version_asked_for_and_never_cached(
    client: httpx.AsyncClient, worktree: Worktree
) -> None:
    commit = worktree.commit({"a": "1"})
    worktree.push()
    old = await client.get("/lab.git/info/refs?service=git-upload-pack")
    assert old.headers["content-type"] == "application/x-git-upload-pack-advertisement"
    assert "no-cache" in old.headers["cache-control"]
    assert old.content.startswith(pkt("# service=git-upload-pack\n") + FLUSH)
    assert f"{commit} refs/heads/main".encode() in old.content
    new = await client.get("/lab.git/info/refs?service=git-upload-pack", headers={"Git-Protocol": "version=2"})
    assert new.content.startswith(pkt("version 2\n"))
    odd = await client.get("/lab.git/info/refs?service=git-upload-pack", headers={"Git-Protocol": "version=2;x y"})
    assert odd.status_code == 200


async def test_our_own_refs_are_hidden(client: httpx.AsyncClient, repository: GitRepository) -> None:
    await repository.commit_files("main", {"a": b"1"}, message="x", author="A <a>", parent=None)
    head = (await branches_of(repository))["main"]
    (repository.path / "refs/towpath").mkdir(exist_ok=True)
    (repository.path / "refs/towpath/x").write_text(f"{head}\n")
    listed = await client.get("/lab.git/info/refs?service=git-upload-pack")
    assert b"refs/heads/main" in listed.content
    assert b"refs/towpath" not in listed.content


async def test_another_content_type_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.post("/lab.git/git-upload-pack", content=FLUSH, headers={"Content-Type": "text/plain"})
    assert response.status_code == 415


async def test_a_push_that_declares_too_much_is_refused_before_it_is_read(client: httpx.AsyncClient) -> None:
    headers = {**RECEIVE_TYPE, "Content-Length": "100001", "Expect": "100-continue"}
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    authorization = format_basic("ada", "right")
    head = f"POST /lab.git/git-receive-pack HTTP/1.1\r\nHost: localhost\r\nAuthorization: {authorization}\r\n"
    writer.write((head + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n").encode())
    status = await reader.readline()
    writer.close()
    await writer.wait_closed()
    assert b" 413 " in status


async def test_a_push_that_streams_too_much_is_refused(client: httpx.AsyncClient, repository: GitRepository) -> None:
    async def body() -> AsyncIterator[bytes]:
        for number in range(1200):
            yield pkt(f"{'0' * 40} {'1' * 40} refs/heads/{number}")

    response = await client.post("/lab.git/git-receive-pack", content=body(), headers=RECEIVE_TYPE)
    assert response.status_code == 413
    assert "too large" in response.text
    assert await branches_of(repository) == {}


async def test_a_push_that_streams_too_much_while_git_already_answers_is_cut_off(
    client: httpx.AsyncClient, repository: GitRepository
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield pkt(f"{'0' * 40} {'1' * 40} refs/heads/main\x00report-status") + FLUSH
        yield b"no pack at all"
        await asyncio.sleep(0)
        for _ in range(100):
            yield b"x" * 4096

    try:
        response = await client.post("/lab.git/git-receive-pack", content=body(), headers=RECEIVE_TYPE)
    except httpx.TransportError:
        pass
    else:
        assert response.status_code == 413
    await wait_for_no_child(str(repository.path))
    assert await branches_of(repository) == {}


async def test_a_compressed_request_that_grows_beyond_all_bounds_is_refused(client: httpx.AsyncClient) -> None:
    bomb = gzip.compress(b"0" * 40_000_000)
    headers = {**UPLOAD_TYPE, "Content-Encoding": "gzip"}
    response = await client.post("/lab.git/git-upload-pack", content=bomb, headers=headers)
    assert response.status_code == 413


@pytest.mark.parametrize("content", [b"not gzip", gzip.compress(FLUSH * 100)[:-9]], ids=["not-gzip", "cut-short"])
async def test_a_damaged_compressed_request_is_refused(client: httpx.AsyncClient, content: bytes) -> None:
    headers = {**UPLOAD_TYPE, "Content-Encoding": "gzip"}
    response = await client.post("/lab.git/git-upload-pack", content=content, headers=headers)
    assert response.status_code == 400


def want(commit: str) -> bytes:
    return pkt(f"want {commit} no-progress\n") + FLUSH + pkt("done\n")


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_a_fetch_is_answered_however_the_request_is_cut(
    client: httpx.AsyncClient, worktree: Worktree, size: int
) -> None:
    commit = worktree.commit({"a": "1"})
    worktree.push()
    request = gzip.compress(want(commit))

    async def body() -> AsyncIterator[bytes]:
        for start in range(0, len(request), size):
            yield request[start : start + size]

    headers = {**UPLOAD_TYPE, "Content-Encoding": "gzip"}
    response = await client.post("/lab.git/git-upload-pack", content=body(), headers=headers)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/x-git-upload-pack-result"
    assert response.content.startswith(pkt("NAK\n") + b"PACK")


async def test_what_git_cannot_understand_is_an_error_that_shows_why(client: httpx.AsyncClient) -> None:
    response = await client.post("/lab.git/git-upload-pack", content=b"zzzz", headers=UPLOAD_TYPE)
    assert response.status_code == 500
    assert "git-upload-pack failed: fatal: protocol error" in response.text


async def test_a_repository_that_vanished_is_an_error_that_shows_why(client: httpx.AsyncClient) -> None:
    response = await client.get("/broken.git/info/refs?service=git-upload-pack")
    assert response.status_code == 500
    assert "does not appear to be a git repository" in response.text


def count_children(name: str) -> int:
    """How many running programs have this in their command line."""
    own = {str(path) for path in Path("/proc").glob("[0-9]*/cmdline")}
    lines = []
    for path in own:
        try:
            lines.append(Path(path).read_bytes())
        except OSError:
            continue
    return sum(name.encode() in line for line in lines)


async def wait_for_no_child(name: str) -> None:
    async with asyncio.timeout(120):
        while count_children(name):  # noqa: ASYNC110 - the children's end is nobody's event here
            await asyncio.sleep(0.02)


async def test_a_client_that_leaves_in_the_middle_of_a_push_leaves_no_child_and_no_change(
    client: httpx.AsyncClient, repository: GitRepository
) -> None:
    arrived = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield pkt(f"{'0' * 40} {'1' * 40} refs/heads/main\x00report-status") + FLUSH + b"PACK"
        arrived.set()
        await asyncio.Event().wait()

    push = asyncio.create_task(client.post("/lab.git/git-receive-pack", content=body(), headers=RECEIVE_TYPE))
    await arrived.wait()
    push.cancel()
    await asyncio.gather(push, return_exceptions=True)
    await wait_for_no_child(str(repository.path))
    assert await branches_of(repository) == {}
    assert not list(repository.path.rglob("*.lock"))


async def test_a_client_that_leaves_in_the_middle_of_a_fetch_leaves_no_child(
    client: httpx.AsyncClient, repository: GitRepository, worktree: Worktree
) -> None:
    commit = worktree.commit(
        {str(number): str(number) * 100_000 for number in range(200)} | {"z": bytes(range(256)) * 80_000}
    )
    worktree.push()
    async with client.stream("POST", "/lab.git/git-upload-pack", content=want(commit), headers=UPLOAD_TYPE) as response:
        assert response.status_code == 200
    await wait_for_no_child(str(repository.path))
