"""The runbook of docs/operations.md: a platform comes back from its backup, on another machine's disk."""

import asyncio
import re
import shutil
import subprocess
from pathlib import Path

from fakes.inprocess import InProcess, push
from fakes.platform import is_healthy
from fakes.worktree import Worktree
from towpath.source.repository import GitRepository

RUNBOOK = (Path(__file__).parent.parent.parent / "docs" / "operations.md").read_text()
# What the runbook says to keep; a platform has some of it only if its owner made it.
KEPT = re.findall(r"\.towpath/([\w.-]+)", RUNBOOK[RUNBOOK.index("$ tar -czf") :].partition("```")[0])


async def test_git_registry_and_credentials_are_enough(tmp_path: Path) -> None:
    async with InProcess(tmp_path / "first" / "lab") as lab:
        worktree = Worktree(tmp_path / "work", lab.git_url)
        commit = worktree.commit(lab.files(), "Two tiny services")
        await push(worktree)
        await lab.until("dev", "clock", is_healthy(commit))
        await lab.post("/promotions", {"services": ["clock"], "environment": "prod", "by": "ada"})
        await lab.until("prod", "clock", is_healthy(commit))
        before = (await lab.get("/history", environment="prod"))["entries"]
        settings = lab.settings
    restored = tmp_path / "second" / "lab"
    (restored / ".towpath").mkdir(parents=True, mode=0o700)
    for name in KEPT:
        source, target = settings.state / name, restored / ".towpath" / name
        if source.is_dir():
            shutil.copytree(source, target)
        elif source.exists():
            shutil.copy2(source, target)

    async with InProcess(restored, port=settings.port) as again:
        seen = await again.until("prod", "clock", is_healthy(commit))
        after = (await again.get("/history", environment="prod"))["entries"]

    assert seen["desired"] == 2
    assert [(entry["act"], entry["commit"], entry["by"]) for entry in after] == [
        (entry["act"], entry["commit"], entry["by"]) for entry in before
    ]


async def test_a_mirror_has_everything_that_git_knows(tmp_path: Path) -> None:
    async with InProcess(tmp_path / "lab") as lab:
        worktree = Worktree(tmp_path / "work", lab.git_url)
        commit = worktree.commit(lab.files(), "Two tiny services")
        await push(worktree)
        await lab.until("dev", "clock", is_healthy(commit))
        await lab.until("dev", "lamp", is_healthy(commit))
        async with asyncio.timeout(120):
            # One verdict a service; written in the background.
            while len(await lab.platform._repository.notes(commit)) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        argv = ["git", "clone", "--quiet", "--mirror", lab.git_url, str(tmp_path / "mirror.git")]
        await asyncio.to_thread(subprocess.run, argv, check=True)
        expected = await lab.platform._repository.refs("refs/heads/", "refs/notes/")

    mirror = GitRepository(tmp_path / "mirror.git")
    assert await mirror.refs("refs/") == expected
    assert set(expected) == {"refs/heads/main", "refs/notes/towpath"}
    await mirror.close()
