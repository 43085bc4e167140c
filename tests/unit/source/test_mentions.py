"""What files of a branch mention, at any commit of a window."""

from pathlib import Path

import pytest

from fakes.worktree import Worktree
from towpath.source.git import GitError
from towpath.source.mentions import Mention, read_mentions

PATTERN = "sha-[0-9a-f]{7}"
DAY = 86_400
BEGIN = 1_700_000_000
SUFFIXES = (".yaml", "Kustomization")


@pytest.fixture
def clone(tmp_path: Path) -> Worktree:
    return Worktree(tmp_path / "clone")


def commit_on(clone: Worktree, day: int, files: dict[str, str], *, monkeypatch: pytest.MonkeyPatch) -> str:
    """Commit on that day."""
    monkeypatch.setenv("GIT_COMMITTER_DATE", f"{BEGIN + day * DAY} +0000")
    monkeypatch.setenv("GIT_AUTHOR_DATE", f"{BEGIN + day * DAY} +0000")
    return clone.commit(files)


async def mentions(clone: Worktree, *, since: int = 0) -> list[Mention]:
    head = clone.git("rev-parse", "HEAD")
    return await read_mentions(clone.path / ".git", head, since=BEGIN + since * DAY, pattern=PATTERN, suffixes=SUFFIXES)


def words(found: list[Mention]) -> set[str]:
    return {one.line.strip() for one in found}


async def test_what_was_added_and_taken_away_again_is_mentioned_with_commit_and_file(
    clone: Worktree, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = commit_on(clone, 10, {"k3s/prod.yaml": "a: 1\ntag: sha-1111111\n"}, monkeypatch=monkeypatch)
    commit_on(clone, 11, {"k3s/prod.yaml": "a: 1\ntag: sha-2222222\n"}, monkeypatch=monkeypatch)
    commit_on(clone, 12, {"k3s/prod.yaml": "a: 1\n"}, monkeypatch=monkeypatch)
    found = await mentions(clone)

    assert Mention(first, "k3s/prod.yaml", "tag: sha-1111111") in found
    assert words(found) == {"tag: sha-1111111", "tag: sha-2222222"}


async def test_what_stood_there_when_the_window_began_is_mentioned_and_what_was_gone_before_is_not(
    clone: Worktree, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_on(clone, 10, {"a.yaml": "sha-0000000\n", "b.yaml": "sha-bbbbbbb\n"}, monkeypatch=monkeypatch)
    begin = commit_on(clone, 11, {"a.yaml": "sha-1111111\n"}, monkeypatch=monkeypatch)
    commit_on(clone, 21, {"a.yaml": "sha-2222222\n"}, monkeypatch=monkeypatch)
    found = await mentions(clone, since=20)

    assert words(found) == {"sha-1111111", "sha-2222222", "sha-bbbbbbb"}
    assert Mention(begin, "b.yaml", "sha-bbbbbbb") in found


async def test_a_branch_that_has_rested_longer_than_the_window_mentions_what_its_head_does(
    clone: Worktree, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_on(clone, 10, {"a.yaml": "sha-1111111\n"}, monkeypatch=monkeypatch)

    assert words(await mentions(clone, since=500)) == {"sha-1111111"}


async def test_what_only_a_merge_or_a_side_branch_says_is_mentioned(
    clone: Worktree, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_on(clone, 10, {"a.yaml": "x\n"}, monkeypatch=monkeypatch)
    clone.git("checkout", "--quiet", "-b", "side")
    commit_on(clone, 11, {"side.yaml": "sha-5555555\n"}, monkeypatch=monkeypatch)
    clone.git("checkout", "--quiet", "main")
    commit_on(clone, 12, {"main.yaml": "y\n"}, monkeypatch=monkeypatch)
    clone.git("merge", "--quiet", "--no-commit", "--no-ff", "side")
    commit_on(clone, 13, {"merged.yaml": "sha-6666666\n", "side.yaml": "-\n"}, monkeypatch=monkeypatch)

    assert words(await mentions(clone)) == {"sha-5555555", "sha-6666666"}


async def test_other_files_and_lines_that_only_look_like_a_head_are_not_taken(
    clone: Worktree, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = "++ b/other.txt sha-7777777\nsha-8888888 \x0c sha-9999999\n"
    commit_on(clone, 10, {"odd name é.yaml": odd, "notes.txt": "sha-1111111\n"}, monkeypatch=monkeypatch)
    found = await mentions(clone)

    assert [(one.path, one.line) for one in found] == [
        ("odd name é.yaml", "++ b/other.txt sha-7777777"),
        ("odd name é.yaml", "sha-8888888 \x0c sha-9999999"),
    ]


async def test_a_repository_that_cannot_be_read_is_an_error_and_not_an_empty_list(tmp_path: Path) -> None:
    with pytest.raises(GitError):
        await read_mentions(tmp_path, "a" * 40, since=0, pattern=PATTERN, suffixes=SUFFIXES)
