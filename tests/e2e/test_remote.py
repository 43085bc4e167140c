"""A platform that follows an outside repository: by path, and over HTTP with a token; by webhooks, and by polling."""

import asyncio
import json
from pathlib import Path

import pytest

from fakes.inprocess import InProcess, push
from fakes.platform import is_healthy
from fakes.worktree import Worktree
from towpath.oci.tags import sha_tag
from towpath.server import credentials
from towpath.source.signatures import sign

# Longer than any test: nothing here is found by polling unless the test says so.
NEVER = 3600.0
NOTES = "refs/notes/towpath"


@pytest.fixture
def origin(tmp_path: Path) -> Worktree:
    """A developer's clone of an outside bare repository."""
    bare = tmp_path / "outside" / "fleet.git"
    worktree = Worktree(tmp_path / "work", str(bare))
    worktree.git("init", "--quiet", "--bare", "--initial-branch=main", str(bare))
    return worktree


def bare_of(origin: Worktree) -> str:
    return origin.git("remote", "get-url", "origin")


async def hint(lab: InProcess, forge: str, commit: str, *, secret: str = "") -> int:
    """What a forge sends after a push; the status of the answer."""
    known = credentials.read(lab.settings.state).webhook_secret_of(forge)
    body = json.dumps(
        {
            "ref": "refs/heads/main",
            "before": "0" * 40,
            "after": commit,
            "repository": {"full_name": "outside/fleet"},
            "pusher": {"name": "ada"},
        }
    ).encode()
    headers = {
        "Content-Type": "application/json",
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": commit,
        "X-Hub-Signature-256": sign(secret or known, body),
    }
    return (await lab.request("POST", f"/webhooks/{forge}", content=body, headers=headers)).status_code


async def test_it_follows_promotes_and_rolls_back_upstream(tmp_path: Path, origin: Worktree) -> None:
    async with InProcess(tmp_path / "node", remote=bare_of(origin), poll_seconds=0.2) as lab:
        assert lab.platform.name == "fleet"
        first = origin.commit(lab.files(), "Two tiny services")
        await push(origin)
        await lab.until("dev", "clock", is_healthy(first))

        promoted = await lab.post("/promotions", {"services": ["clock"], "environment": "prod", "by": "ada"})
        assert promoted["verdict"] == "passed", promoted
        await lab.until("prod", "clock", is_healthy(first))
        refs = origin.git("ls-remote", "origin")

        assert f"{promoted['commit']}\trefs/heads/main" in refs
        assert NOTES in refs
        origin.git("pull", "--quiet", "origin", "main")
        assert f"newTag: {sha_tag(first)}" in (origin.path / "k3s/overlays/prod/kustomization.yaml").read_text()
        (remote,) = [one for one in (await lab.get("/doctor"))["checks"] if one["check"] == "remote"]
        assert remote["state"] == "ok"
        assert "no webhook came since the start" in remote["evidence"]
        metrics = (await lab.request("GET", "/metrics")).text
        assert "towpath_remote_failures 0.0" in metrics


async def test_a_webhook_is_a_hint_that_makes_polling_unnecessary(tmp_path: Path, origin: Worktree) -> None:
    async with InProcess(tmp_path / "node", remote=bare_of(origin), poll_seconds=NEVER) as lab:
        first = origin.commit(lab.files(), "Two tiny services")
        await push(origin)

        assert await hint(lab, "github", first, secret="somebody else's") == 401
        assert await hint(lab, "towpath", first) == 404  # only our own host speaks so, and there is none
        assert await hint(lab, "github", first) == 202
        await lab.until("dev", "clock", is_healthy(first))
        assert await hint(lab, "github", first) == 200  # a replay changes nothing

        metrics = (await lab.request("GET", "/metrics")).text
        assert 'towpath_webhook_deliveries_total{provider="github",reason="accepted"} 1.0' in metrics
        assert 'towpath_webhook_deliveries_total{provider="github",reason="BadSignature"} 1.0' in metrics
        assert 'towpath_webhook_deliveries_total{provider="github",reason="duplicate"} 1.0' in metrics


async def test_a_promotion_lands_on_top_of_a_push_that_nobody_told_of(tmp_path: Path, origin: Worktree) -> None:
    async with InProcess(tmp_path / "node", remote=bare_of(origin), poll_seconds=NEVER) as lab:
        first = origin.commit(lab.files(), "Two tiny services")
        await push(origin)
        assert await hint(lab, "github", first) == 202
        await lab.until("dev", "clock", is_healthy(first))
        unseen = origin.commit({"README.md": "hello"}, "Say hello")
        await push(origin)

        promoted = await lab.post("/promotions", {"services": ["clock"], "environment": "prod", "by": "ada"})

        assert promoted["verdict"] == "passed", promoted
        origin.git("fetch", "--quiet", "origin")
        assert origin.git("rev-parse", "origin/main", "origin/main^").split() == [promoted["commit"], unseen]


async def test_the_mirror_can_be_read_but_not_pushed_to(tmp_path: Path, origin: Worktree) -> None:
    async with InProcess(tmp_path / "node", remote=bare_of(origin), poll_seconds=0.2) as lab:
        commit = origin.commit({"README.md": "hello"})
        await push(origin)
        async with asyncio.timeout(120):
            while (await lab.get("/status"))["head"] is None:  # noqa: ASYNC110 - another program's push
                await asyncio.sleep(0.05)
        listed = await asyncio.to_thread(origin.git, "ls-remote", lab.git_url, "refs/heads/main")
        refused = await asyncio.to_thread(origin.git, "push", lab.git_url, "main:other", check=False)

    assert listed.split()[0] == commit
    assert "may read fleet.git, but not push to it" in refused


async def test_a_remote_that_is_gone_is_explained_and_what_runs_keeps_running(tmp_path: Path, origin: Worktree) -> None:
    async with InProcess(tmp_path / "node", remote=bare_of(origin), poll_seconds=0.2) as lab:
        first = origin.commit(lab.files(), "Two tiny services")
        await push(origin)
        await lab.until("dev", "clock", is_healthy(first))
        Path(bare_of(origin)).rename(tmp_path / "elsewhere")

        async with asyncio.timeout(120):
            while True:
                (finding, *_) = (await lab.get("/explain"))["findings"]
                if finding["state"] == "failed":
                    break
                await asyncio.sleep(0.05)
        refused = await lab.post("/promotions", {"services": ["clock"], "environment": "prod", "by": "ada"})

        assert finding["subject"] == bare_of(origin)
        assert "NotFound" in finding["reason"]
        assert refused["exit_code"] == 6
        assert (await lab.service("dev", "clock"))["health"] == "Healthy"
        (tmp_path / "elsewhere").rename(bare_of(origin))
        promoted = await lab.post("/promotions", {"services": ["clock"], "environment": "prod", "by": "ada"})
        assert promoted["verdict"] == "passed"


async def test_it_follows_a_repository_that_wants_a_token(tmp_path: Path) -> None:
    async with InProcess(tmp_path / "hosting" / "fleet") as forge:
        token = tmp_path / "token"
        token.write_text(credentials.read(forge.settings.state).admin_token)
        token.chmod(0o600)
        worktree = Worktree(tmp_path / "work", forge.git_url)
        url = f"{forge.endpoints.url}/git/fleet.git"
        commit = worktree.commit({"README.md": "hello"})
        await push(worktree)
        async with InProcess(
            tmp_path / "node", remote=url, remote_user="ada", remote_token_file=token, poll_seconds=0.2
        ) as lab:
            async with asyncio.timeout(120):
                while (await lab.get("/status"))["head"] is None:  # noqa: ASYNC110 - another program's push
                    await asyncio.sleep(0.05)
            assert (await lab.get("/status"))["head"]["commit"] == commit
