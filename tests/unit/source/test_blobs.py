"""Blobs become files, each made anew; a git that fails, or that nobody waits for, is ended and said."""

import asyncio
import os
from pathlib import Path

import pytest

from fakes.service_process import wait_until
from fakes.worktree import Worktree
from towpath.errors import IntegrityError, UserError
from towpath.source.blobs import EXECUTABLE, SUBMODULE, SYMLINK, TreeEntry, write_blobs
from towpath.source.repository import GitRepository

FILE = "100644"
ABSENT = "d" * 40


@pytest.fixture
def blob(repository: GitRepository, worktree: Worktree) -> str:
    worktree.commit({"a": "content\n", "b": "x" * 3_000_000})
    worktree.push()
    assert repository.path.is_dir()
    return worktree.git("rev-parse", "HEAD:a")


def pretend(bin_directory: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Another git."""
    bin_directory.mkdir()
    (bin_directory / "git").write_text(f"#!/bin/sh\n{script}\n")
    (bin_directory / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_directory}:{os.environ['PATH']}")


async def test_files_links_and_programs_are_written_and_submodules_are_not(
    repository: GitRepository, worktree: Worktree, blob: str, tmp_path: Path
) -> None:
    large = worktree.git("rev-parse", "HEAD:b")
    entries = [
        TreeEntry(FILE, blob, "plain"),
        TreeEntry(EXECUTABLE, blob, "program"),
        TreeEntry(SUBMODULE, ABSENT, "module"),
        TreeEntry(SYMLINK, blob, "link"),
        TreeEntry(FILE, large, "large"),
    ]
    await write_blobs(repository.path, entries, tmp_path)

    assert (tmp_path / "plain").read_bytes() == b"content\n"
    assert [os.access(tmp_path / name, os.X_OK) for name in ("plain", "program")] == [False, True]
    assert str((tmp_path / "link").readlink()) == "content\n"
    assert (tmp_path / "large").stat().st_size == 3_000_000
    assert not (tmp_path / "module").exists()


async def test_an_object_that_is_not_there_is_named(repository: GitRepository, blob: str, tmp_path: Path) -> None:
    entries = [TreeEntry(FILE, blob, "a"), TreeEntry(FILE, ABSENT, "b")]

    with pytest.raises(IntegrityError, match=r"^b could not be read \(MissingObject\)"):
        await write_blobs(repository.path, entries, tmp_path)


async def test_nothing_is_written_through_a_link_that_is_there(
    repository: GitRepository, blob: str, tmp_path: Path
) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(FileExistsError):
        await write_blobs(repository.path, [TreeEntry(FILE, blob, "a")], tmp_path)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    "says", ["", f"printf '{ABSENT} blob 5\\n'", f"printf '{ABSENT} blob 5\\nab'", f"printf '{ABSENT} blob 2\\nab'"]
)
async def test_a_git_that_ends_early_is_no_short_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str
) -> None:
    pretend(tmp_path / "bin", monkeypatch, says)

    with pytest.raises(IntegrityError, match=r"Truncated|MissingObject"):
        await write_blobs(tmp_path, [TreeEntry(FILE, ABSENT, "a")], tmp_path)


async def test_cancelled_it_ends_git_and_writes_nothing_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = tmp_path / "started"
    pretend(
        tmp_path / "bin",
        monkeypatch,
        f"printf '{ABSENT} blob 5\\nab'; echo $$ >{started}.new; mv {started}.new {started}; exec sleep 600",
    )
    writing = asyncio.create_task(write_blobs(tmp_path, [TreeEntry(FILE, ABSENT, "a")], tmp_path))
    await asyncio.to_thread(wait_until, started.exists)
    writing.cancel()

    with pytest.raises(asyncio.CancelledError):
        await writing
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)


async def test_without_git_the_next_step_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(UserError, match="NotInstalled"):
        await write_blobs(tmp_path, [TreeEntry(FILE, ABSENT, "a")], tmp_path)
