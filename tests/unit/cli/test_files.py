"""Commands that need files only: init, kubeconfig, webhook, git-credential, completion."""

import io
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fakes.canned_platform import CannedPlatform
from towpath.server import credentials
from towpath.server.credentialfile import load_or_create


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without a git identity."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in ("EMAIL", "GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.delenv(name, raising=False)
    (home / ".gitconfig").write_text("[user]\n\tuseConfigOnly = true\n")
    return home


def git(directory: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=directory, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.usefixtures("nobody")
def test_init_writes_a_repository_that_can_be_pushed_even_without_an_identity(
    tmp_path: Path, type_: Callable[..., Any]
) -> None:
    target = tmp_path / "My Lab"
    said = type_("init", str(target), "--port", "7501")

    assert said.code == 0
    assert "towpath up" in said.out
    assert git(target, "log", "--format=%an %s") == "Towpath Start from the Towpath scaffold"
    assert git(target, "status", "--porcelain") == ""
    assert git(target, "remote", "get-url", "towpath") == "http://127.0.0.1:7501/git/my-lab.git"
    helpers = git(target, "config", "--get-all", "credential.http://127.0.0.1:7501.helper").splitlines()
    assert helpers[0].endswith(f"git-credential -C '{target}'")
    assert "127.0.0.1:7501/my-lab" in (target / "towpath.yaml").read_text()


def test_init_uses_the_identity_there_is(tmp_path: Path, nobody: Path, type_: Callable[..., Any]) -> None:
    (nobody / ".gitconfig").write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n")

    assert type_("init", str(tmp_path / "lab"), "--name", "fleet", "--registry", "ghcr.io/ada/fleet").code == 0
    assert git(tmp_path / "lab", "log", "--format=%an") == "Ada"
    assert "ghcr.io/ada/fleet" in (tmp_path / "lab" / "towpath.yaml").read_text()


def test_init_leaves_a_directory_with_files_alone(tmp_path: Path, type_: Callable[..., Any]) -> None:
    (tmp_path / "mine").write_text("keep")
    said = type_("init", str(tmp_path))

    assert said.code == 5
    assert "has files in it" in said.err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.usefixtures("nobody")
def test_init_takes_an_empty_directory(tmp_path: Path, type_: Callable[..., Any]) -> None:
    (tmp_path / "empty").mkdir()

    assert type_("init", str(tmp_path / "empty")).code == 0


def test_init_without_git_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, type_: Callable[..., Any]) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    said = type_("init", str(tmp_path / "lab"))

    assert (said.code, "install git" in said.err) == (2, True)


def test_kubeconfig_is_printed_or_named(platform: CannedPlatform, type_: Callable[..., Any]) -> None:
    path = platform.state / "kubeconfig"
    missing = type_("kubeconfig")
    path.write_text("apiVersion: v1\n")

    assert (missing.code, "towpath up" in missing.err) == (2, True)
    assert type_("kubeconfig").out == "apiVersion: v1\n"
    assert type_("kubeconfig", "--path").out == f"{path}\n"


def test_webhook_prints_what_a_forge_asks_for(platform: CannedPlatform, type_: Callable[..., Any]) -> None:
    document = type_("webhook", "gitea", "-o", "json").json()

    assert document["url"].endswith("/webhooks/gitea")
    assert document["secret"] == credentials.read(platform.state).webhook_secret_of("gitea")
    assert "secret:       " + document["secret"] in type_("webhook", "gitea").out
    assert type_("webhook", "towpath").code == 2


def test_webhook_needs_no_running_platform(tmp_path: Path, type_: Callable[..., Any]) -> None:
    state = tmp_path / ".towpath"
    state.mkdir()
    load_or_create(state)

    assert "http://HOST:PORT/webhooks/github" in type_("webhook", "github", "-C", str(tmp_path)).out


class Asked(io.StringIO):
    """What git writes on a credential helper's standard input."""


def test_git_gets_the_platforms_password_for_the_platform_alone(
    platform: CannedPlatform, type_: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    url = json.loads((platform.state / "run.json").read_text())["url"]
    for host, expected in (
        (url.removeprefix("http://"), f"username=towpath\npassword={platform.token}\n"),
        ("github.com", ""),
    ):
        # As git types it, and as a person may.
        for typed in (("get",), ("-C", str(platform.root), "get"), ("get", "-C", str(platform.root))):
            monkeypatch.setattr("sys.stdin", Asked(f"protocol=http\nhost={host}\n\n"))
            assert type_("git-credential", *typed).out == expected
    monkeypatch.setattr("sys.stdin", Asked("protocol=http\n\n"))
    assert type_("git-credential", "store").out == ""


@pytest.mark.parametrize(
    ("typed", "code"),
    [(["-C", "/nowhere", "get"], 2), (["--colour"], 2), ([], 2), (["get", "more"], 2), (["--help"], 0)],
)
def test_a_question_that_git_does_not_ask_is_for_the_command_line(
    type_: Callable[..., Any], typed: list[str], code: int
) -> None:
    assert type_("git-credential", *typed).code == code


def test_what_git_says_wrong_is_told_and_ends_with_2(
    platform: CannedPlatform, type_: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Asked("protocol\n\n"))
    said = type_("git-credential", "-C", str(platform.root), "get")

    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("towpath: credential request is malformed")


def test_git_is_left_to_its_other_helpers_where_nothing_runs(
    tmp_path: Path, type_: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Asked("protocol=http\nhost=127.0.0.1:7070\n\n"))
    said = type_("git-credential", "get", "-C", str(tmp_path))

    assert (said.code, said.out, said.err) == (0, "", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_for_the_shell(
    type_: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    monkeypatch.setenv("SHELL", f"/bin/{shell}")

    assert "_TOWPATH_COMPLETE" in type_("completion", shell).out
    assert type_("completion").out == type_("completion", shell).out


def test_an_unknown_shell_is_refused(type_: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/tcsh")

    assert "name bash, zsh or fish" in type_("completion").err
