"""The keeper on a whole platform: what was never run goes, what is pinned or runs stays, and damage heals."""

import asyncio
from pathlib import Path
from typing import Any

import httpx

from fakes.inprocess import InProcess, push
from fakes.lab import SERVICES, program, source_of
from fakes.platform import PATIENCE_SECONDS, is_healthy
from fakes.worktree import Worktree
from towpath.aio.clock import SystemClock
from towpath.oci.digest import Digest
from towpath.server import credentials
from towpath.server.credentials import ADMIN

KEEPER = "keeper:\n  sets: 1\n  releases: 1\n  history: 1h\n"


class MovableClock(SystemClock):
    """The machine's clock, which a test can move on."""

    skew = 0.0

    def now(self) -> float:
        """Wall time, moved."""
        return super().now() + self.skew

    def monotonic(self) -> float:
        """The other time, moved as far: hours pass for leases, too."""
        return super().monotonic() + self.skew


async def published(lab: InProcess, commit: str) -> None:
    """Wait until the images of a commit are in the registry."""
    ci: dict[str, Any] = {}
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (ci.get("commit"), ci.get("outcome")) != (commit, "published"):
            await asyncio.sleep(0.05)
            ci = (await lab.get("/status"))["ci"]


async def test_a_version_that_was_never_run_goes_and_what_runs_or_is_pinned_stays(tmp_path: Path) -> None:
    clock = MovableClock()
    async with InProcess(tmp_path / "lab", clock=clock) as lab:
        worktree = Worktree(tmp_path / "work", lab.git_url)
        files = {**lab.files(), "towpath.yaml": lab.files()["towpath.yaml"] + KEEPER}
        first = worktree.commit(files, "Two tiny services")
        await push(worktree)
        await lab.until("dev", "clock", is_healthy(first))
        await lab.post("/promotions", {"services": list(SERVICES), "environment": "prod", "by": "ada"})
        for service in SERVICES:
            await lab.until("prod", service, is_healthy(first))
        await lab.post("/holds", {"environment": "dev", "reason": "test", "seconds": 3600, "by": "ada"})
        await asyncio.to_thread(worktree.git, "pull", "--quiet", "--rebase", "origin", "main")
        versions = []
        for version in ("two", "three"):
            versions.append(worktree.commit({source_of(name): program(version) for name in SERVICES}, version))
            await push(worktree)
            await published(lab, versions[-1])
        second, third = versions
        assert (await lab.get("/registry/collections"))["removed"] == 0, "all of it is young"

        clock.skew = 3 * 3600.0
        await lab.post("/holds", {"environment": "dev", "release": True})
        await lab.until("dev", "clock", is_healthy(third))
        planned = await lab.get("/registry/collections")
        tags = {tag: one for one in planned["manifests"] for tag in one["tags"] if one["repository"] == "lab/clock"}
        reasons = {tag: {reason["reason"] for reason in one["reasons"]} for tag, one in tags.items()}

        assert tags[f"sha-{second[:7]}"]["decision"] == "removed"
        assert {"pinned", "running", "rollback"} <= reasons[f"sha-{first[:7]}"]
        assert {"channel", "running"} <= reasons["canary"]
        done = await lab.post("/registry/collections", {})
        assert done["collected"]["manifests"] == planned["removed"] > 0
        assert done["collected"]["interrupted"] == ""

        usage = await lab.get("/registry/usage")
        assert {one["repository"]: one["tags"] for one in usage["repositories"]} == {
            "lab/clock": 4,  # of the first version (its commit, and the promotion's), of the third one, and canary
            "lab/lamp": 4,
            "lab/sets": 3,
        }
        async with registry_client(lab) as client:
            for tag, status in ((first, 200), (second, 404), (third, 200)):
                assert (await client.head(f"/v2/lab/clock/manifests/sha-{tag[:7]}")).status_code == status
        scrubbed = await scrub(lab)
        assert (scrubbed["damages"], scrubbed["checked"] > 5) == ([], True)


async def test_damage_is_found_told_and_healed_by_a_push(tmp_path: Path) -> None:
    async with InProcess(tmp_path / "lab") as lab:
        worktree = Worktree(tmp_path / "work", lab.git_url)
        first = worktree.commit(lab.files(), "Two tiny services")
        await push(worktree)
        await lab.until("dev", "clock", is_healthy(first))
        async with registry_client(lab) as client:
            manifest = (await client.get("/v2/lab/clock/manifests/canary")).json()
            layer = Digest.parse(manifest["layers"][-1]["digest"])
            path = lab.settings.state / "registry" / "blobs" / layer.algorithm / layer.hex[:2] / layer.hex
            content = path.read_bytes()
            path.write_bytes(b"x" + content[1:])
            (damage,) = (await scrub(lab))["damages"]

            assert damage["digest"] == str(layer)
            affected = [one for one in damage["affected"] if one["repository"] == "lab/clock"]
            assert any("running: Pod dev/clock-0" in one["needed"] for one in affected)
            assert (await client.get(f"/v2/lab/clock/blobs/{layer}")).status_code == 500
            checks = {one["check"]: one for one in (await lab.get("/doctor"))["checks"]}
            assert checks["registry content"]["state"] == "problem"
            posted = await client.post(f"/v2/lab/clock/blobs/uploads/?digest={layer}", content=content)
            assert posted.status_code == 201
            assert (await client.get(f"/v2/lab/clock/blobs/{layer}")).content == content
        assert (await scrub(lab))["damages"] == []


def registry_client(lab: InProcess) -> httpx.AsyncClient:
    """A client with the platform's own account."""
    token = credentials.read(lab.settings.state).admin_token
    return httpx.AsyncClient(base_url=f"http://{lab.settings.address}", auth=(ADMIN, token), timeout=PATIENCE_SECONDS)


async def scrub(lab: InProcess) -> dict[str, Any]:
    """Scrub, and wait for the end."""
    await lab.post("/registry/scrubs", {})
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (found := await lab.get("/registry/scrubs"))["running"]:  # noqa: ASYNC110 - it is asked over HTTP
            await asyncio.sleep(0.05)
    document: dict[str, Any] = found
    return document
