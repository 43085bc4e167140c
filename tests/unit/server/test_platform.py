"""A whole platform in one process: it takes a push, runs it, tells about it, and leaves nothing behind."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from fakes.inprocess import InProcess, push
from fakes.platform import is_healthy
from fakes.worktree import Worktree
from towpath.http.server import ListenError
from towpath.oci.tags import sha_tag
from towpath.server.platform import name_of
from towpath.server.settings import Settings


def children() -> set[str]:
    """The processes of this one."""
    found = set()
    for task in Path(f"/proc/{os.getpid()}/task").iterdir():
        found |= set((task / "children").read_text().split())
    return found


def threads() -> set[str]:
    """The threads of this process, without those that wait for `asyncio.to_thread`."""
    return {thread.name for thread in threading.enumerate() if not thread.name.startswith("asyncio_")}


async def test_a_push_becomes_a_running_workload_that_every_view_tells_of(tmp_path: Path) -> None:
    before = children(), threads()
    async with InProcess(tmp_path / "lab") as lab:
        assert (await lab.request("GET", "/healthz")).json()["status"] == "ready"
        assert (await lab.get("/status"))["head"] is None
        assert (await lab.get("/explain"))["findings"][0]["state"] == "empty"
        assert (await lab.get("/history")) == {"entries": []}

        worktree = Worktree(tmp_path / "work", lab.git_url)
        commit = worktree.commit(lab.files(), "Two tiny services")
        await push(worktree)
        await lab.until("dev", "clock", is_healthy(commit))
        await lab.until("dev", "lamp", is_healthy(commit))

        (waterfall,) = (await lab.get("/timeline", environment="dev"))["waterfalls"]
        assert [span["stage"] for span in waterfall["spans"]] == [
            "fetched",
            "built",
            "pushed",
            "planned",
            "applied",
            "ready",
        ]
        metrics = (await lab.request("GET", "/metrics")).text
        assert 'towpath_push_to_ready_seconds_count{environment="dev"} 1.0' in metrics
        assert 'towpath_webhook_deliveries_total{provider="towpath",reason="accepted"} 1.0' in metrics
        assert {one["state"] for one in (await lab.get("/doctor"))["checks"] if one["check"] != "isolation"} == {"ok"}
        logs = await lab.request("GET", "/api/v1/logs", params={"service": "clock", "environment": "dev"})
        assert logs.text == "version one green\n"
        assert (await lab.get("/where/main"))["services"][0]["environments"][0]["environment"] == "dev"
        assert (await lab.get("/diff", environment="dev"))["objects"] == []

        outcome = await lab.post("/promotions", {"services": ["clock"], "environment": "prod", "by": "ada"})
        assert outcome["verdict"] == "passed", outcome
        seen = await lab.until("prod", "clock", is_healthy(commit))
        assert (seen["tag"], seen["desired"]) == (sha_tag(commit), 2)
        assert (await lab.get("/history", environment="prod"))["entries"][0]["act"] == "promote"

    assert (children(), threads()) == before
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def test_a_port_in_use_is_said_and_nothing_stays_open(tmp_path: Path) -> None:
    async with InProcess(tmp_path / "one") as one:
        second = InProcess(tmp_path / "two")
        object.__setattr__(second.platform._listener, "_port", one.settings.port)
        with pytest.raises(ListenError):
            await second.__aenter__()


@pytest.mark.parametrize(
    ("remote", "name"),
    [
        ("", "my-lab"),
        ("https://git.example/owner/home-lab.git", "home-lab"),
        ("git@git.example:owner/lab", "lab"),
        ("git@git.example:lab.git", "lab"),
        ("/srv/git/Fleet_1.git/", "fleet-1"),
    ],
)
def test_a_platform_is_called_like_its_repository(remote: str, name: str) -> None:
    assert name_of(Settings(Path("/somewhere/My Lab"), remote=remote)) == name
