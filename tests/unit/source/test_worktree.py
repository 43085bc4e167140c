"""A developer's work tree as a commit would have it."""

from pathlib import Path

import pytest

from fakes.worktree import Worktree
from towpath.errors import UserError
from towpath.source.worktree import WorkTree, find_worktree


@pytest.fixture
def clone(tmp_path: Path) -> Worktree:
    clone = Worktree(tmp_path / "lab", "https://me:secret@git.example/lab.git")
    clone.commit({"services/a/main.py": "a", "services/b/main.py": "b", ".gitignore": "*.log\n", "README.md": "hello"})
    return clone


async def tree_of(clone: Worktree) -> WorkTree:
    tree = await find_worktree(clone.path)
    assert tree is not None
    return tree


async def test_a_clean_tree_has_no_changes(clone: Worktree) -> None:
    assert await (await tree_of(clone)).changes(["services/a", "."]) == []


async def test_changed_new_and_deleted_files_are_changes_and_ignored_ones_are_not(clone: Worktree) -> None:
    clone.write({"services/a/main.py": "A", "services/a/né w.py": "x", "services/a/x.log": "x"})
    (clone.path / "services/b/main.py").unlink()
    tree = await tree_of(clone)

    assert sorted(await tree.changes(["services/a"])) == ["services/a/main.py", "services/a/né w.py"]
    assert await tree.changes(["services/b"]) == ["services/b/main.py"]
    assert await tree.changes(["README.md"]) == []
    assert len(await tree.changes(["services/a", "."])) == 3


async def test_what_is_staged_is_a_change_too(clone: Worktree) -> None:
    clone.write({"services/a/main.py": "A"})
    clone.git("add", "--all")

    assert await (await tree_of(clone)).changes(["services/a"]) == ["services/a/main.py"]


async def test_the_files_that_count_are_those_a_commit_would_have(clone: Worktree) -> None:
    clone.write({"services/a/new/data.txt": "x", "services/a/x.log": "x"})
    tree = await tree_of(clone)

    assert await tree.files("services/a") == {"main.py", "new/data.txt"}
    assert {"README.md", "services/b/main.py"} <= await tree.files(".")


async def test_a_path_is_a_path_and_no_pattern(clone: Worktree) -> None:
    clone.write({"services/[ab]/main.py": "x"})

    assert await (await tree_of(clone)).files("services/[ab]") == {"main.py"}


async def test_a_remote_is_told_without_its_password(clone: Worktree) -> None:
    tree = await tree_of(clone)

    assert await tree.find_remote("towpath", "origin") == "https://git.example/lab.git"
    assert await tree.find_remote("none") == ""
    clone.git("remote", "add", "towpath", "git@git.example:lab.git")
    assert await tree.find_remote("towpath", "origin") == "git@git.example:lab.git"


async def test_of_several_urls_of_a_remote_the_last_one_counts_as_for_git(clone: Worktree) -> None:
    clone.git("remote", "set-url", "--add", "origin", "https://mirror.example/lab.git")

    assert await (await tree_of(clone)).find_remote("origin") == "https://mirror.example/lab.git"


async def test_a_remote_whose_name_only_looks_alike_is_another(clone: Worktree) -> None:
    clone.git("remote", "rename", "origin", "my.origin")
    clone.git("config", "remote.origin.pushurl", "https://push.example/lab.git")

    assert await (await tree_of(clone)).find_remote("towpath", "origin") == ""
    assert await (await tree_of(clone)).find_remote("my.origin") == "https://git.example/lab.git"
    assert await (await tree_of(clone)).find_remote("myXorigin") == ""


async def test_a_linked_work_tree_is_one_as_well(clone: Worktree, tmp_path: Path) -> None:
    clone.git("worktree", "add", "--quiet", str(tmp_path / "linked"))
    tree = await find_worktree(tmp_path / "linked")

    assert tree is not None
    assert await tree.files("services/a") == {"main.py"}


async def test_a_directory_that_git_does_not_know_is_none(tmp_path: Path) -> None:
    assert await find_worktree(tmp_path) is None


async def test_a_platform_repository_stands_at_the_top(clone: Worktree) -> None:
    with pytest.raises(UserError, match="NotTop") as caught:
        await find_worktree(clone.path / "services")
    assert str(clone.path) in caught.value.message
