"""`towpath build` as a user types it: clean and dirty work trees, commits, layouts, platforms, mistakes."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fakes.worktree import Worktree
from towpath.build.entries import BuildError
from towpath.cli.build import _complete_services, command
from towpath.cli.main import main
from towpath.oci.digest import Digest
from towpath.oci.manifest import Index, parse_manifest

REGISTRY = "registry: 127.0.0.1:1/lab\n"


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Worktree:
    """A platform repository of two services that need no interpreter in their base: quick to build."""
    lab = Worktree(tmp_path / "lab")
    lab.commit(
        {
            "towpath.yaml": REGISTRY + "services:\n  site: {base: scratch, static: public, entrypoint: [/app/server]}\n"
            "  docs: {base: scratch, static: ., entrypoint: [/app/server]}\n",
            "services/site/public/index.html": "<h1>one</h1>\n",
            "services/docs/page.txt": "text\n",
            ".gitignore": "/.towpath/\n*.log\n",
        }
    )
    monkeypatch.chdir(lab.path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return lab


@pytest.fixture
def towpath(capsysbinary: pytest.CaptureFixture[bytes]) -> Any:
    def run(*arguments: str) -> Said:
        code = main(["build", *arguments])
        seen = capsysbinary.readouterr()
        return Said(code, seen.out.decode(), seen.err.decode())

    return run


def sha_tag_of(lab: Worktree) -> str:
    return f"sha-{lab.git('rev-parse', 'HEAD')[:7]}"


def test_all_services_are_built_from_the_commit_and_listed(lab: Worktree, towpath: Any) -> None:
    said = towpath()

    assert said.code == 0
    head, *rows = [line.split() for line in said.out.splitlines()]
    assert head == ["SERVICE", "TAG", "DIGEST", "SIZE", "RESULT", "SECONDS"]
    assert [row[:2] for row in rows] == [["docs", sha_tag_of(lab)], ["site", sha_tag_of(lab)]]
    assert "site: built after" in said.err


def test_the_second_build_comes_from_the_cache(lab: Worktree, towpath: Any) -> None:
    first, second = towpath("-o", "json").json(), towpath("-o", "json").json()

    assert first["commit"] == lab.git("rev-parse", "HEAD")
    assert [service["result"] for service in first["services"]] == ["built", "built"]
    assert [service["result"] for service in second["services"]] == ["cached", "cached"]
    assert [one["digest"] for one in first["services"]] == [two["digest"] for two in second["services"]]


@pytest.mark.usefixtures("lab")
def test_the_progress_says_what_the_table_says(towpath: Any) -> None:
    first, second = towpath("site"), towpath("site")

    assert ("site: built after" in first.err, "built" in first.out.split()) == (True, True)
    assert ("site: cached after" in second.err, "cached" in second.out.split()) == (True, True)
    assert "built" not in second.err


@pytest.mark.usefixtures("lab")
def test_one_git_answers_all_questions_about_a_commit(
    towpath: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, wrapper = tmp_path / "git.log", tmp_path / "bin" / "git"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\necho "$@" >>{log}\nexec {shutil.which("git")} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")

    def cat_files() -> int:
        log.write_text("")
        assert towpath().code == 0
        return sum("cat-file --batch" in line for line in log.read_text().splitlines())

    assert cat_files() == 1 + 2, "one for all questions, and one for each directory that is exported"
    assert cat_files() == 1, "nothing is exported that was built before"
    assert len(log.read_text().splitlines()) == 5, "where, of which remote, what, what changed, which paths"


@pytest.mark.usefixtures("lab")
def test_one_service_can_be_named(towpath: Any) -> None:
    assert [service["service"] for service in towpath("site", "-o", "json").json()["services"]] == ["site"]


def test_changes_are_built_as_they_stand_under_a_tag_that_is_no_commits(lab: Worktree, towpath: Any) -> None:
    clean = towpath("site", "-o", "json").json()
    lab.write({"services/site/public/new.html": "new", "services/site/public/noise.log": "ignored"})
    said = towpath("site", "-o", "json")
    dirty = said.json()

    assert dirty["tag"] == f"dirty-{lab.git('rev-parse', 'HEAD')[:7]}"
    assert (dirty["commit"], dirty["changes"]) == ("", ["services/site/public/new.html"])
    assert dirty["services"][0]["digest"] != clean["services"][0]["digest"]
    assert "not committed: services/site/public/new.html; built as it stands" in said.err


def test_what_git_ignores_is_in_no_image(lab: Worktree, towpath: Any) -> None:
    lab.write({"services/site/public/new.html": "new"})
    before = towpath("site", "-o", "json").json()
    lab.write({"services/site/public/noise.log": "ignored"})
    after = towpath("site", "-o", "json").json()

    assert before["services"][0]["digest"] == after["services"][0]["digest"]


def test_changes_elsewhere_leave_a_service_clean(lab: Worktree, towpath: Any) -> None:
    lab.write({"services/docs/page.txt": "changed\n", "README.md": "new\n"})

    assert towpath("site", "-o", "json").json()["tag"] == sha_tag_of(lab)
    assert towpath("-o", "json").json()["tag"].startswith("dirty-")


def test_a_blueprint_that_only_the_work_tree_has_mended_is_built(lab: Worktree, towpath: Any) -> None:
    mended = (lab.path / "towpath.yaml").read_bytes()
    lab.commit({"towpath.yaml": "name: [\n"})
    broken = towpath("site")
    lab.write({"towpath.yaml": mended})

    assert (broken.code, "towpath.yaml" in broken.err) == (2, True)
    assert towpath("site", "-o", "json").json()["changes"] == ["towpath.yaml"]


def test_a_repository_inside_a_service_is_a_change_of_it(lab: Worktree, towpath: Any) -> None:
    inner = Worktree(lab.path / "services/site/inner", str(lab.path))
    inner.commit({"a": "1"})

    assert towpath("site", "-o", "json").json()["changes"] == ["services/site/inner/"]
    assert towpath("docs", "-o", "json").json()["changes"] == []


def test_a_commit_can_be_named_whatever_the_work_tree_is_like(lab: Worktree, towpath: Any) -> None:
    clean = towpath("-o", "json").json()
    lab.commit({"services/site/public/index.html": "<h1>two</h1>\n"})
    lab.write({"services/site/public/index.html": "half-written"})

    assert towpath("--commit", "HEAD~1", "-o", "json").json()["services"][1]["digest"] == clean["services"][1]["digest"]


def test_a_directory_outside_of_git_is_built_as_it_stands(tmp_path: Path, towpath: Any) -> None:
    (tmp_path / "plain" / "services" / "site").mkdir(parents=True)
    (tmp_path / "plain" / "towpath.yaml").write_text(
        "services:\n  site: {base: scratch, static: ., entrypoint: [/app/x]}\n"
    )
    (tmp_path / "plain" / "services" / "site" / "x").write_text("x")
    document = towpath("-C", str(tmp_path / "plain"), "-o", "json").json()

    assert (document["tag"], document["commit"]) == ("dirty", "")


@pytest.mark.usefixtures("lab")
def test_a_layout_holds_every_image_by_name(towpath: Any, tmp_path: Path) -> None:
    document = towpath("--output", str(tmp_path / "out"), "-o", "json").json()
    index = parse_manifest((tmp_path / "out" / "index.json").read_bytes())

    assert isinstance(index, Index)
    named = {entry.annotations["org.opencontainers.image.ref.name"]: str(entry.digest) for entry in index.manifests}
    assert named == {f"{one['service']}:{document['tag']}": one["digest"] for one in document["services"]}
    for blob in (tmp_path / "out" / "blobs" / "sha256").iterdir():
        assert Digest.of(blob.read_bytes()).hex == blob.name


@pytest.mark.usefixtures("lab")
def test_a_layout_never_lands_among_other_files(towpath: Any, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")

    said = towpath("--output", str(tmp_path / "mine"))
    assert (said.code, "NotEmpty" in said.err) == (5, True)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("given", [["--platform", "linux/amd64,linux/arm64"], ["--platform", "linux/arm64"]])
@pytest.mark.usefixtures("lab")
def test_several_platforms_make_an_index_and_one_makes_none(towpath: Any, tmp_path: Path, given: list[str]) -> None:
    towpath("site", *given, "--output", str(tmp_path / "out"))
    index = parse_manifest((tmp_path / "out" / "index.json").read_bytes())
    assert isinstance(index, Index)
    (entry,) = index.manifests
    whole = parse_manifest((tmp_path / "out" / "blobs" / "sha256" / entry.digest.hex).read_bytes())

    platforms = [str(one.platform) for one in whole.manifests] if isinstance(whole, Index) else []
    assert platforms == (["linux/amd64", "linux/arm64"] if "," in given[1] else [])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nope"], 4, "service nope is not known (NotFound): the blueprint has docs, site"),
        (["--commit", "nope"], 4, "commit nope was not found (NotFound)"),
        (["--tag", "sha-1234567"], 2, "tag sha-1234567 cannot be chosen (TagReserved)"),
        (["--tag", "unreleased"], 2, "TagReserved"),
        (["--tag", "a b"], 2, "is not allowed here in a tag"),
        (["--platform", "arm64"], 2, "expected os/architecture"),
        (["--platform", "linux/arm64", "--platform", "linux/arm64"], 2, "given twice"),
        (["--registry", "http://x"], 2, "a reference has no scheme"),
        (["--authfile", "/nowhere"], 2, "there is no file /nowhere"),
        (["--push", "site"], 6, "connection refused"),
    ],
)
@pytest.mark.usefixtures("lab")
def test_each_mistake_has_its_words_and_its_exit_code(
    towpath: Any, arguments: list[str], code: int, words: str
) -> None:
    said = towpath(*arguments)

    assert (said.code, words in said.err) == (code, True), said.err


def test_outside_of_a_platform_repository_the_next_step_is_told(tmp_path: Path, towpath: Any) -> None:
    (tmp_path / "empty").mkdir()
    said = towpath("-C", str(tmp_path / "empty"))

    assert (said.code, "towpath init" in said.err) == (2, True)


def test_a_service_that_cannot_be_built_is_told_beside_those_that_can(lab: Worktree, towpath: Any) -> None:
    lab.commit({"services/broken/README.md": "nothing to run\n"})
    said = towpath("-o", "json")

    results = {one["service"]: one["result"] for one in said.json()["services"]}
    assert results == {"broken": "failed", "docs": "built", "site": "built"}
    assert said.code == BuildError.exit_code
    assert "towpath: service broken has no entrypoint" in said.err


def test_a_name_that_would_move_the_terminal_is_shown_as_an_escape(lab: Worktree, towpath: Any) -> None:
    lab.write({"services/site/public/a\x1b[2J\nb.html": "new"})
    said = towpath("site")
    assert "not committed: services/site/public/a\\x1b[2J\\nb.html; built" in said.err
    assert "\x1b" not in said.err

    (lab.path / "services" / "site" / "public" / "c\x1b\nd").symlink_to("/etc")
    said = towpath("site")
    assert said.code == 2
    assert "link public/c\\x1b\\nd leaves" in said.err
    assert "\x1b" not in said.err


def test_a_blueprint_that_is_wrong_is_to_be_corrected_and_built_again(lab: Worktree, towpath: Any) -> None:
    lab.write({"towpath.yaml": "channel: sha-1234567\n"})
    said = towpath()

    assert said.code == 2
    assert "next: correct it, then build again" in said.err
    assert "push" not in said.err


@pytest.mark.usefixtures("lab")
def test_a_key_that_is_not_there_is_told_with_the_next_step(towpath: Any) -> None:
    said = towpath("--key", "/nope")

    assert (said.code, "/nope cannot be read" in said.err, "towpath keys create" in said.err) == (2, True, True)


def test_the_time_of_a_build_without_a_commit_can_be_given(
    lab: Worktree, towpath: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.write({"services/site/public/new.html": "new"})
    digests = set()
    for epoch in ("1000000000", "1000000000", "1100000000"):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
        digests.add(towpath("site", "-o", "json").json()["services"][0]["digest"])
    assert len(digests) == 2

    for wrong in ("yesterday", "99999999999999", "253402300800", "1" * 5000):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", wrong)
        said = towpath("site")
        assert (said.code, "SOURCE_DATE_EPOCH cannot be used" in said.err) == (2, True), said.err
        assert "next: " in said.err
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "253402300799")
    assert towpath("site").code == 0


@pytest.mark.usefixtures("lab")
def test_shells_complete_the_names_of_services() -> None:
    context = command.make_context("build", ["docs"], resilient_parsing=True)
    items = _complete_services(context, command.params[0], "")

    assert [item.value for item in items] == ["site"]
