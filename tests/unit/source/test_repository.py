import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from fakes.worktree import Worktree, branches_of
from towpath.errors import NotFoundError, UserError
from towpath.source.export import UnsafeTreeError
from towpath.source.git import GitError
from towpath.source.repository import NOTES, GitRepository, StaleBranchError

ADA = "Ada <ada@example.org>"


# --- an empty repository


async def test_a_new_repository_has_its_default_branch_and_nothing_else(repository: GitRepository) -> None:
    assert (repository.path / "HEAD").read_text() == "ref: refs/heads/main\n"
    assert not list((repository.path / "hooks").glob("*"))
    assert await branches_of(repository) == {}
    assert await repository.all_notes() == {}


async def test_making_it_again_changes_nothing(repository: GitRepository, worktree: Worktree) -> None:
    commit = worktree.commit({"a": "1"})
    worktree.push()
    await repository.init()
    assert await branches_of(repository) == {"main": commit}


async def test_asking_an_empty_repository_says_that_it_is_empty(repository: GitRepository) -> None:
    assert await repository.find_commit("main") is None
    assert await repository.find_commit("HEAD") is None
    with pytest.raises(NotFoundError, match=r"revision main was not found \(Empty\)"):
        await repository.get_commit("main")


async def test_locks_left_by_a_dead_machine_are_removed_and_fresh_ones_kept(repository: GitRepository) -> None:
    old, fresh = repository.path / "refs/heads/main.lock", repository.path / "packed-refs.lock"
    old.touch()
    fresh.touch()
    os.utime(old, (1_000_000_000, 1_000_000_000))
    await repository.init()
    assert not old.exists()
    assert fresh.exists()


# --- commits


async def test_the_time_of_a_commit_is_that_of_its_log(repository: GitRepository, worktree: Worktree) -> None:
    commit = worktree.commit({"a": "1"}, message="committer of <this> 1 +0000\n\ncommitter Nobody <x> 2 +0000")
    worktree.git("tag", "--annotate", "v1", "--message", "one")
    worktree.push("main", "v1")
    expected = (await repository.get_commit(commit)).committed_at
    assert [await repository.committed_at(rev) for rev in (commit, "main", "v1")] == [expected] * 3
    with pytest.raises(NotFoundError):
        await repository.committed_at("none")


async def test_commits_are_found_by_branch_tag_and_beginning_of_their_id(
    repository: GitRepository, worktree: Worktree
) -> None:
    commit = worktree.commit({"a": "1"})
    worktree.git("tag", "--annotate", "v1", "--message", "one")
    worktree.push("main", "v1")
    for rev in ("main", "refs/heads/main", "v1", commit, commit[:7], "HEAD"):
        assert await repository.find_commit(rev) == commit
    assert await repository.refs() == {"refs/heads/main": commit, "refs/tags/v1": commit}


@pytest.mark.parametrize("rev", ["", "nothing", "main\nmain", "a\x00b", "--all", "-h", "main:a", "f" * 40, "main^^"])
async def test_what_names_no_commit_finds_none(repository: GitRepository, worktree: Worktree, rev: str) -> None:
    worktree.commit({"a": "1"})
    worktree.push()
    assert await repository.find_commit(rev) is None


async def test_a_beginning_that_several_objects_share_is_refused(repository: GitRepository, worktree: Worktree) -> None:
    for number in range(40):
        worktree.commit({"a": str(number)})
    worktree.push()
    known = {commit.id[:4] for commit in await repository.log("main", limit=100)}
    objects = worktree.git("rev-list", "--objects", "--all").split()
    shared = [each[:4] for each in objects if len(each) == 40]
    ambiguous = sorted({each for each in shared if shared.count(each) > 1} - known)
    for beginning in ambiguous:
        with pytest.raises(UserError, match="Ambiguous"):
            await repository.find_commit(beginning)


async def test_a_commit_is_read_whole(repository: GitRepository, worktree: Worktree) -> None:
    first = worktree.commit({"a": "1"}, "First")
    second = worktree.commit(
        {"a": "2"}, "Promote sensor\n\nWhy: because.\nSecond line\n\nTowpath-Promote: prod\ntowpath-tag: sha-1234567\n"
    )
    worktree.push()
    commit = await repository.get_commit("main")
    assert (commit.id, commit.parents, commit.author) == (second, (first,), ADA)
    assert commit.subject == "Promote sensor"
    assert commit.body == "Why: because.\nSecond line\n\nTowpath-Promote: prod\ntowpath-tag: sha-1234567"
    assert commit.trailers == [("Towpath-Promote", "prod"), ("towpath-tag", "sha-1234567")]
    assert commit.trailer("Towpath-Tag") == "sha-1234567"
    assert commit.trailer("Towpath-Service") == ""
    assert commit.committed_at == float(worktree.git("log", "-1", "--format=%ct"))


@pytest.mark.parametrize(
    ("message", "trailers"),
    [
        ("Subject: not a trailer", []),
        ("S\n\nNot: the last\n\nlast paragraph", []),
        ("S\n\nA: 1\n folded\nB: 2", [("A", "1 folded"), ("B", "2")]),
        ("S\n\nA: 1\nA: 2\n", [("A", "1"), ("A", "2")]),
        ("S\n\nQ: sensor sha256:00\n", [("Q", "sensor sha256:00")]),
        ("Ünïcode\n\nA: ✓\n", [("A", "✓")]),
        ("no body", []),
    ],
)
async def test_trailers_follow_gits_own_rules(
    repository: GitRepository, worktree: Worktree, message: str, trailers: list[tuple[str, str]]
) -> None:
    worktree.commit({"a": "1"}, message)
    worktree.push()
    assert (await repository.get_commit("main")).trailers == trailers


async def test_the_log_is_bounded_filtered_and_newest_first(repository: GitRepository, worktree: Worktree) -> None:
    one = worktree.commit({"a": "1"})
    two = worktree.commit({"dir/b": "1"})
    three = worktree.commit({"a": "2"})
    worktree.push()
    assert [commit.id for commit in await repository.log("main")] == [three, two, one]
    assert [commit.id for commit in await repository.log("main", limit=1)] == [three]
    assert [commit.id for commit in await repository.log("main", paths=["a"])] == [three, one]
    assert [commit.id for commit in await repository.log("main", paths=["dir"])] == [two]
    assert [commit.id for commit in await repository.log("main", after=one)] == [three, two]
    assert await repository.log("main", paths=["*"]) == []


async def test_the_log_of_first_parents_leaves_out_what_merges_brought_in(
    repository: GitRepository, worktree: Worktree
) -> None:
    one = worktree.commit({"a": "1"})
    worktree.git("switch", "--quiet", "--create", "topic")
    worktree.commit({"b": "1"})
    worktree.git("switch", "--quiet", "main")
    worktree.git("merge", "--quiet", "--no-ff", "topic", "--message", "Merge")
    worktree.push()
    log = await repository.log("main", first_parent=True)
    assert [commit.id for commit in log[1:]] == [one]
    assert len(log[0].parents) == 2


async def test_ancestry_is_told_and_a_commit_is_its_own_ancestor(repository: GitRepository, worktree: Worktree) -> None:
    one, two = worktree.commit({"a": "1"}), worktree.commit({"a": "2"})
    worktree.push()
    assert await repository.is_ancestor(one, two)
    assert await repository.is_ancestor(one, one)
    assert not await repository.is_ancestor(two, one)
    with pytest.raises(NotFoundError):
        await repository.is_ancestor(one, "f" * 40)


async def test_a_pushed_replacement_does_not_change_what_a_commit_contains(
    repository: GitRepository, worktree: Worktree
) -> None:
    real, other = worktree.commit({"a": "real"}), worktree.commit({"a": "other"})
    worktree.git("replace", "--force", real, other)
    worktree.push("main", "refs/replace/*:refs/replace/*")
    assert await repository.read(real, "a") == b"real"


# --- trees


async def test_tree_ids_change_with_the_content_under_a_path_and_only_then(
    repository: GitRepository, worktree: Worktree
) -> None:
    one = worktree.commit({"services/a/main.py": "1", "services/b/main.py": "1"})
    two = worktree.commit({"services/a/main.py": "2"})
    worktree.push()
    before = await repository.tree_ids(one, ["services/a", "services/b", "services/c", "services/a/main.py", ""])
    after = await repository.tree_ids(two, ["services/a/", "./services/b", "a\nb", "../x"])
    assert before["services/a"] != after["services/a/"]
    assert before["services/b"] == after["./services/b"] == worktree.git("rev-parse", "HEAD:services/b")
    assert before["services/c"] is after["a\nb"] is after["../x"] is None
    assert before["services/a/main.py"] == worktree.git("rev-parse", f"{one}:services/a/main.py")
    assert before[""] == worktree.git("rev-parse", f"{one}^{{tree}}")


async def test_files_are_read_byte_by_byte(repository: GitRepository, worktree: Worktree) -> None:
    content = bytes(range(256)) * 1000
    worktree.commit({"dir/x y.bin": content, "empty": b""})
    worktree.push()
    assert await repository.read("main", "dir/x y.bin") == content
    assert await repository.read("main", "empty") == b""
    assert await repository.find_file("main", "dir") is None
    with pytest.raises(NotFoundError, match="file none was not found"):
        await repository.read("main", "none")


async def test_paths_are_listed_whole_or_under_a_directory(repository: GitRepository, worktree: Worktree) -> None:
    worktree.commit({"a": "1", "dir/b c": "1", "dir/sub/ü": "1"})
    worktree.push()
    assert await repository.paths("main") == ["a", "dir/b c", "dir/sub/ü"]
    assert await repository.paths("main", "dir/") == ["dir/b c", "dir/sub/ü"]
    assert await repository.paths("main", "none") == await repository.paths("main", "a") == []


async def test_a_directory_is_exported_as_committed(
    repository: GitRepository, worktree: Worktree, tmp_path: Path
) -> None:
    worktree.write(
        {"s/run.sh": "#!/bin/sh\n", "s/sub/big": os.urandom(700_000), "s/.gitattributes": "big export-ignore\n"}
    )
    (worktree.path / "s/run.sh").chmod(0o755)
    (worktree.path / "s/link").symlink_to("sub/big")
    worktree.commit({"other": "1"})
    worktree.push()
    await repository.export("main", "s", tmp_path / "out")
    expected = worktree.path / "s"
    assert sorted(path.name for path in (tmp_path / "out").rglob("*")) == [
        ".gitattributes",
        "big",
        "link",
        "run.sh",
        "sub",
    ]
    assert (tmp_path / "out/sub/big").read_bytes() == (expected / "sub/big").read_bytes()
    assert (tmp_path / "out/run.sh").stat().st_mode & 0o111
    assert not (tmp_path / "out/sub/big").stat().st_mode & 0o111
    assert (tmp_path / "out/link").readlink() == Path("sub/big")


async def test_thousands_of_files_are_exported(repository: GitRepository, worktree: Worktree, tmp_path: Path) -> None:
    worktree.commit({f"{number % 7}/{number}": str(number) for number in range(3000)})
    worktree.push()
    await repository.export("main", "", tmp_path / "out")
    assert (tmp_path / "out/6/2988").read_text() == "2988"
    assert sum(path.is_file() for path in (tmp_path / "out").rglob("*")) == 3000


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "sub/../../outside", "hop/../.."])
async def test_a_link_that_leads_out_is_refused_and_nothing_stays(
    repository: GitRepository, worktree: Worktree, tmp_path: Path, target: str
) -> None:
    worktree.write({"s/sub/a": "1"})
    (worktree.path / "s/hop").symlink_to("sub/..")
    (worktree.path / "s/bad").symlink_to(target)
    worktree.commit()
    worktree.push()
    with pytest.raises(UnsafeTreeError, match=rf"bad cannot be exported \(UnsafeLink\): it leads to {target}"):
        await repository.export("main", "s", tmp_path / "out")
    assert not (tmp_path / "out").exists()


async def test_a_link_over_a_link_that_leads_out_is_refused(
    repository: GitRepository, worktree: Worktree, tmp_path: Path
) -> None:
    worktree.write({"s/deep/a": "1"})
    (worktree.path / "s/deep/root").symlink_to("..")
    (worktree.path / "s/bad").symlink_to("deep/root/..")  # its text alone stays inside
    worktree.commit()
    worktree.push()
    with pytest.raises(UnsafeTreeError, match="bad cannot be exported"):
        await repository.export("main", "s", tmp_path / "out")


async def test_links_that_lead_out_become_plain_files_when_not_strict(
    repository: GitRepository, worktree: Worktree, tmp_path: Path
) -> None:
    worktree.write({"s/a": "1"})
    (worktree.path / "s/bad").symlink_to("/etc/passwd")
    (worktree.path / "s/good").symlink_to("a")
    (worktree.path / "s/loop").symlink_to("loop")
    worktree.commit()
    worktree.push()
    (tmp_path / "out").mkdir()
    await repository.export("main", "s", tmp_path / "out", strict=False)
    assert not (tmp_path / "out/bad").is_symlink()
    assert (tmp_path / "out/bad").read_text() == "/etc/passwd"
    assert (tmp_path / "out/good").read_text() == "1"


async def test_a_tree_with_a_name_that_leads_out_is_refused(repository: GitRepository, tmp_path: Path) -> None:
    def plumbing(*arguments: str, stdin: bytes) -> str:
        git = ["git", f"--git-dir={repository.path}", *arguments]
        return subprocess.run(git, input=stdin, capture_output=True, check=True).stdout.decode().strip()

    blob = plumbing("hash-object", "-w", "--stdin", stdin=b"evil")
    raw = b"100644 ..\x00" + bytes.fromhex(blob)
    inner = plumbing("hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=raw)
    commit = plumbing("-c", "user.name=x", "-c", "user.email=x", "commit-tree", inner, "-m", "x", stdin=b"")
    with pytest.raises(UnsafeTreeError, match="UnsafePath"):
        await repository.export(commit, "", tmp_path / "deep" / "out")


async def test_a_directory_that_is_not_there_cannot_be_exported(
    repository: GitRepository, worktree: Worktree, tmp_path: Path
) -> None:
    worktree.commit({"a": "1"})
    worktree.push()
    with pytest.raises(NotFoundError, match="directory services/gone was not found"):
        await repository.export("main", "services/gone", tmp_path / "out")
    with pytest.raises(GitError):
        await repository.export("main", "a", tmp_path / "out")


# --- writing


async def test_the_first_commit_makes_the_branch(repository: GitRepository, worktree: Worktree) -> None:
    commit = await repository.commit_files("main", {"a/b": b"1"}, message="First\n", author=ADA, parent=None)
    assert await branches_of(repository) == {"main": commit}
    worktree.git("pull", "--quiet", "origin", "main")
    assert worktree.git("fsck", "--strict") == ""
    assert worktree.git("log", "-1", "--format=%an %ae %cn %s") == "Ada ada@example.org Towpath First"
    with pytest.raises(StaleBranchError, match="expected none"):
        await repository.commit_files("main", {"a": b"2"}, message="x", author=ADA, parent=None)


async def test_a_commit_changes_the_named_files_and_keeps_modes_and_all_others(
    repository: GitRepository, worktree: Worktree
) -> None:
    worktree.write({"run.sh": "1", "gone": "1", "keep": "1", 'odd "name"\\ü': "1"})
    (worktree.path / "run.sh").chmod(0o755)
    parent = worktree.commit()
    worktree.push()
    changed: dict[str, bytes | None] = {"run.sh": b"2\n", "gone": None, 'odd "name"\\ü': b"2", "new/file": b"\x00\xff"}
    message = "Promote\n\nTowpath-Promote: prod\n"
    commit = await repository.commit_files("main", changed, message=message, author=ADA, parent=parent)
    assert await repository.paths(commit) == ["keep", "new/file", 'odd "name"\\ü', "run.sh"]
    assert await repository.read(commit, 'odd "name"\\ü') == b"2"
    assert await repository.read(commit, "new/file") == b"\x00\xff"
    worktree.git("fetch", "--quiet", "origin")
    assert worktree.git("ls-tree", "origin/main", "run.sh").startswith("100755 ")
    assert (await repository.get_commit("main")).trailers == [("Towpath-Promote", "prod")]
    assert (await repository.get_commit("main")).parents == (parent,)


async def test_of_two_commits_on_one_parent_exactly_one_lands(repository: GitRepository, worktree: Worktree) -> None:
    parent = worktree.commit({"a": "1"})
    worktree.push()
    results = await asyncio.gather(
        *(
            repository.commit_files("main", {name: b"2"}, message=name, author=ADA, parent=parent)
            for name in ("x", "y", "z")
        ),
        return_exceptions=True,
    )
    landed = [result for result in results if isinstance(result, str)]
    assert len(landed) == 1
    assert sum(isinstance(result, StaleBranchError) for result in results) == 2
    assert await branches_of(repository) == {"main": landed[0]}


async def test_a_branch_that_was_set_back_is_stale_too(repository: GitRepository, worktree: Worktree) -> None:
    one, two = worktree.commit({"a": "1"}), worktree.commit({"a": "2"})
    worktree.push()
    worktree.git("push", "--quiet", "--force", "origin", f"{one}:main")
    with pytest.raises(StaleBranchError, match=rf"got {one[:7]}, expected {two[:7]}"):
        await repository.commit_files("main", {"a": b"3"}, message="x", author=ADA, parent=two)
    assert await branches_of(repository) == {"main": one}


async def test_no_scratch_ref_stays(repository: GitRepository) -> None:
    await repository.commit_files("main", {"a": b"1"}, message="x", author=ADA, parent=None)
    assert await repository.refs("refs/") == await repository.refs("refs/heads/")


@pytest.mark.parametrize("path", ["", "/a", "a//b", "../a", "a/../b", ".git/config", "a/.GIT/x", "a\x00b"])
async def test_a_path_that_leads_elsewhere_is_refused(repository: GitRepository, path: str) -> None:
    with pytest.raises(UserError, match="InvalidPath"):
        await repository.commit_files("main", {path: b"1"}, message="x", author=ADA, parent=None)
    assert await branches_of(repository) == {}


@pytest.mark.parametrize("author", ["Ada", "Ada <a>\nfrom x", "<a@b>", "A <b> <c>"])
async def test_an_author_that_could_break_the_commit_is_refused(repository: GitRepository, author: str) -> None:
    with pytest.raises(UserError, match="InvalidAuthor"):
        await repository.commit_files("main", {"a": b"1"}, message="x", author=author, parent=None)


async def test_a_message_that_looks_like_commands_stays_a_message(repository: GitRepository) -> None:
    message = "x\n\nfrom refs/heads/other\ndata 3\nD a\ndone\n"
    await repository.commit_files("main", {"a": b"1"}, message=message, author=ADA, parent=None)
    assert await repository.read("main", "a") == b"1"
    assert "D a" in (await repository.get_commit("main")).body


# --- notes


async def test_notes_are_appended_line_by_line(repository: GitRepository, worktree: Worktree) -> None:
    one, two = worktree.commit({"a": "1"}), worktree.commit({"a": "2"})
    worktree.push()
    await repository.append_note(one, '{"verdict": "healthy"}')
    await repository.append_note("main", "x")
    await repository.append_note(one, "ünï")
    assert await repository.notes(one) == ['{"verdict": "healthy"}', "ünï"]
    assert await repository.all_notes() == {one: ['{"verdict": "healthy"}', "ünï"], two: ["x"]}
    worktree.git("fetch", "--quiet", "origin", f"{NOTES}:{NOTES}")
    assert worktree.git("notes", f"--ref={NOTES}", "show", one) == '{"verdict": "healthy"}\nünï'


async def test_concurrent_notes_all_get_in_even_from_two_processes(
    repository: GitRepository, worktree: Worktree
) -> None:
    commit = worktree.commit({"a": "1"})
    worktree.push()
    other = GitRepository(repository.path)
    await asyncio.gather(
        *(repository.append_note(commit, f"ours {number}") for number in range(6)),
        *(other.append_note(commit, f"theirs {number}") for number in range(6)),
    )
    assert sorted(await repository.notes(commit)) == sorted(
        f"{who} {number}" for who in ("ours", "theirs") for number in range(6)
    )


async def test_notes_cut_into_directories_by_another_git_are_read(
    repository: GitRepository, worktree: Worktree
) -> None:
    commits = [worktree.commit({"a": str(number)}) for number in range(3)]
    worktree.push()
    blob = worktree.git("hash-object", "-w", "a")
    tree = "".join(f"100644 blob {blob}\t{commit[:2]}/{commit[2:]}\n" for commit in commits)
    stream = "commit refs/notes/towpath\ncommitter A <a> 0 +0000\ndata 0\n" + "".join(
        f"M 100644 {line.split()[2]} {line.split()[3]}\n" for line in tree.splitlines()
    )
    worktree.git("fast-import", "--quiet", stdin=stream.encode())
    worktree.push("refs/notes/towpath")
    await repository.append_note(commits[0], "more")
    assert await repository.notes(commits[0]) == ["2", "more"]
    assert set(await repository.all_notes()) == set(commits)


async def test_a_note_on_nothing_or_with_a_line_break_is_refused(repository: GitRepository, worktree: Worktree) -> None:
    commit = worktree.commit({"a": "1"})
    worktree.push()
    with pytest.raises(NotFoundError):
        await repository.append_note("f" * 40, "x")
    with pytest.raises(UserError, match="InvalidLine"):
        await repository.append_note(commit, "x\ny")
    assert await repository.notes(commit) == []


# --- surroundings


async def test_the_environment_of_a_git_hook_does_not_leak_in(
    repository: GitRepository, worktree: Worktree, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    commit = worktree.commit({"a": "1"})
    worktree.push()
    (tmp_path / "home").mkdir()
    (tmp_path / "home/.gitconfig").write_text("[core]\n\tcompression = nonsense\n[alias]\n\tlog = !false\n")
    for name, value in {
        "GIT_DIR": "/nonexistent",
        "GIT_OBJECT_DIRECTORY": "/nonexistent",
        "GIT_INDEX_FILE": "/nonexistent",
        "GIT_CONFIG_PARAMETERS": "nonsense",
        "HOME": str(tmp_path / "home"),
        "XDG_CONFIG_HOME": str(tmp_path / "home"),
    }.items():
        monkeypatch.setenv(name, value)
    assert (await repository.get_commit("main")).id == commit


async def test_maintenance_packs_and_keeps_everything(repository: GitRepository, worktree: Worktree) -> None:
    commit = worktree.commit({"a": "1"})
    worktree.push()
    await repository.maintain()
    assert await repository.read(commit, "a") == b"1"


async def test_git_missing_from_the_machine_is_said_so(
    repository: GitRepository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"git could not be started \(NotInstalled\)"):
        await branches_of(repository)


async def test_a_repository_that_is_none_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(GitError, match=r"git for-each-ref failed \(exit code 128\): .*not a git repository"):
        await branches_of(GitRepository(tmp_path))
