"""The metrics as promtool and a real Prometheus read them."""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from fakes.foreign import require
from fakes.inprocess import InProcess, push
from fakes.platform import free_ports, is_healthy
from fakes.worktree import Worktree
from towpath.server import credentials

pytestmark = pytest.mark.judge

PATIENCE_SECONDS = 120.0


async def scenario(lab: InProcess, directory: Path) -> None:
    """A push, a promotion, a rollback that is refused, a refused webhook: every kind of number moves."""
    worktree = Worktree(directory / "work", lab.git_url)
    commit = worktree.commit(lab.files(), "Two tiny services")
    await push(worktree)
    await lab.until("dev", "clock", is_healthy(commit))
    outcome = await lab.post("/promotions", {"services": ["clock"], "environment": "prod", "by": "ada"})
    assert outcome["verdict"] == "passed"
    await lab.until("prod", "clock", is_healthy(commit))
    await lab.post("/rollbacks", {"environment": "prod"})
    await lab.request("POST", "/webhooks/towpath", json={})


async def test_promtool_finds_nothing_wrong_with_the_platforms_metrics(tmp_path: Path) -> None:
    promtool = require("promtool", package="prometheus")
    async with InProcess(tmp_path / "lab") as lab:
        await scenario(lab, tmp_path)
        text = (await lab.request("GET", "/metrics")).text

    checked = await asyncio.to_thread(
        subprocess.run, [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )

    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


async def test_prometheus_scrapes_the_platform_with_its_token(tmp_path: Path) -> None:
    prometheus = require("prometheus")
    (port,) = free_ports(1)
    async with InProcess(tmp_path / "lab") as lab:
        await scenario(lab, tmp_path)
        token = tmp_path / "token"
        token.write_text(credentials.read(lab.settings.state).admin_token)
        job = {
            "job_name": "towpath",
            "scrape_interval": "200ms",
            "scrape_timeout": "200ms",
            "authorization": {"credentials_file": str(token)},
            "static_configs": [{"targets": [lab.settings.address]}],
        }
        config = tmp_path / "prometheus.yml"
        config.write_text(json.dumps({"scrape_configs": [job]}))  # JSON is YAML
        process = await asyncio.create_subprocess_exec(
            prometheus,
            f"--config.file={config}",
            f"--storage.tsdb.path={tmp_path / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1") as client:
                up = await ask(client, "up")
                ready = await ask(client, "towpath_push_to_ready_seconds_count")
                builds = await ask(client, "towpath_builds_total")
        finally:
            process.terminate()
            await process.wait()

    assert [value for _, value in up] == ["1"]
    assert {labels["environment"] for labels, _ in ready} == {"dev", "prod"}
    assert {(labels["service"], value) for labels, value in builds if labels["result"] == "built"} == {
        ("clock", "1"),
        ("lamp", "1"),
    }


async def ask(client: httpx.AsyncClient, query: str) -> list[tuple[dict[str, Any], str]]:
    """Labels and values of a query, as soon as there are any."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                found = (await client.get("/query", params={"query": query})).json()["data"]["result"]
            except (httpx.HTTPError, KeyError, ValueError):
                found = []
            if found:
                return [(one["metric"], one["value"][1]) for one in found]
            await asyncio.sleep(0.1)
