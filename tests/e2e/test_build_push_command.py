"""`towpath build --push` to a real registry: tags, kilobytes, commits and changes, and the platforms of an index."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from fakes.registry import RegistryServer, password, serve_registry
from fakes.worktree import Worktree
from towpath.http.server import Listener
from towpath.oci.keyring import Credential, format_docker_config
from towpath.oci.manifest import Index, parse_manifest
from towpath.ociclient.errors import PullError


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    def services(self) -> dict[str, Any]:
        return {one["service"]: one for one in json.loads(self.out)["services"]}


Towpath = Callable[..., Awaitable[Said]]


@pytest.fixture
def asked() -> list[str]:
    """What the registry was asked, as `METHOD path status`."""
    return []


@pytest.fixture
async def server(tmp_path: Path, asked: list[str]) -> AsyncIterator[RegistryServer]:
    async with serve_registry(tmp_path / "registry") as running:

        async def note(scope: Any, receive: Any, send: Any) -> None:
            async def answer(message: Any) -> None:
                if message["type"] == "http.response.start":
                    asked.append(f"{scope['method']} {scope['path']} {message['status']}")
                await send(message)

            await running.app(scope, receive, answer)

        listener = Listener(note, grace_seconds=0.5)
        await listener.start()
        yield replace(running, listener=listener)
        await listener.close()


@pytest.fixture
def lab(tmp_path: Path, server: RegistryServer) -> Worktree:
    lab = Worktree(tmp_path / "lab")
    service = "base: scratch, static: ., entrypoint: [/app/server]"
    lab.commit(
        {
            "towpath.yaml": f"registry: {server.host}/lab\nservices:\n  docs: {{{service}}}\n  site: {{{service}}}\n",
            "services/site/index.html": "<h1>one</h1>\n",
            "services/docs/page.txt": "text\n",
            ".gitignore": "/.towpath/\n",
        }
    )
    logins = format_docker_config({server.host: Credential("admin", password("admin"))})
    (tmp_path / "logins.json").write_bytes(logins)
    return lab


@pytest.fixture
def towpath(lab: Worktree, tmp_path: Path) -> Towpath:
    async def run(*arguments: str, logins: str = "logins.json") -> Said:
        argv = [sys.executable, "-m", "towpath", "build", "-C", str(lab.path), "-o", "json", "--push", *arguments]
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "REGISTRY_AUTH_FILE": str(tmp_path / logins)}
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*argv, env=env, stdout=pipe, stderr=pipe)
        out, err = await process.communicate()
        return Said(process.returncode or 0, out.decode(), err.decode())

    return run


async def tags(server: RegistryServer, service: str) -> list[str]:
    client = server.client()
    try:
        return await client.tags(server.reference(f"lab/{service}"))
    except PullError:
        return []
    finally:
        await client.close()


async def test_a_commit_is_published_and_published_again_for_nothing(
    lab: Worktree, server: RegistryServer, towpath: Towpath
) -> None:
    first = await towpath()
    again = await towpath()
    tag = f"sha-{lab.git('rev-parse', 'HEAD')[:7]}"

    assert (first.code, again.code) == (0, 0), first.err + again.err
    assert await tags(server, "site") == await tags(server, "docs") == [tag]
    assert all(one["pushed"] and one["bytes_sent"] for one in first.services().values())
    assert all(one["pushed"] and not one["bytes_sent"] for one in again.services().values())
    digests = [{name: one["digest"] for name, one in said.services().items()} for said in (first, again)]
    assert digests[0] == digests[1]


async def test_a_push_of_no_change_is_one_head_a_service_after_the_login(
    lab: Worktree, towpath: Towpath, asked: list[str]
) -> None:
    await towpath()
    tag = f"sha-{lab.git('rev-parse', 'HEAD')[:7]}"
    site, docs = (f"HEAD /v2/lab/{service}/manifests/{tag}" for service in ("site", "docs"))

    asked.clear()
    one = await towpath("site")
    assert (one.code, one.services()["site"]["pushed"]) == (0, True), one.err
    assert asked == [f"{site} 401", "GET /token 200", f"{site} 200"]

    asked.clear()
    both = await towpath()
    assert [service["pushed"] for service in both.services().values()] == [True, True], both.err
    (refused,) = [line for line in asked if line.endswith(" 401")]
    assert refused in {f"{site} 401", f"{docs} 401"}
    assert sorted(asked) == sorted([refused, "GET /token 200", "GET /token 200", f"{site} 200", f"{docs} 200"])


async def test_changes_never_take_a_commits_tag(lab: Worktree, server: RegistryServer, towpath: Towpath) -> None:
    lab.write({"services/site/index.html": "<h1>half-written</h1>\n"})
    said = await towpath("site")

    assert said.code == 0, said.err
    assert await tags(server, "site") == [f"dirty-{lab.git('rev-parse', 'HEAD')[:7]}"]


async def test_when_one_service_fails_nothing_is_published(
    lab: Worktree, server: RegistryServer, towpath: Towpath
) -> None:
    lab.commit({"services/broken/README.md": "nothing to run\n"})
    said = await towpath()

    assert (said.code, said.services()["site"]["pushed"]) == (2, False)
    assert [await tags(server, service) for service in ("site", "docs", "broken")] == [[], [], []]


async def test_without_the_right_to_push_the_registry_says_why(
    lab: Worktree, server: RegistryServer, towpath: Towpath, tmp_path: Path
) -> None:
    login = format_docker_config({server.host: Credential("reader", password("reader"))})
    (tmp_path / "reader.json").write_bytes(login)
    said = await towpath("site", logins="reader.json")

    assert said.code == 6
    assert "towpath: service site: push of" in said.err
    assert await tags(server, "site") == []
    assert lab.git("status", "--porcelain") == "", "the state directory is no change"


async def test_an_index_names_an_image_for_each_platform(server: RegistryServer, towpath: Towpath) -> None:
    said = await towpath("site", "--platform", "linux/amd64,linux/arm64", "--tag", "try-1")
    client = server.client()
    raw = await client.manifest(server.reference("lab/site:try-1"))
    await client.close()
    index = parse_manifest(raw.content, raw.media_type)

    assert isinstance(index, Index)
    assert [str(entry.platform) for entry in index.manifests] == ["linux/amd64", "linux/arm64"]
    assert said.services()["site"]["digest"] == str(raw.digest)
