"""Which outside repository a platform follows."""

import json
from pathlib import Path

import pytest

from fakes.worktree import Worktree
from towpath.errors import ConflictError, UserError
from towpath.server.remotefile import REMOTE_FILE, make_upstream, recall_remote
from towpath.server.settings import Settings

URL = "https://git.example/owner/lab.git"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / ".towpath").mkdir()
    return Settings(tmp_path)


def following(settings: Settings, url: str = URL, **fields: object) -> Settings:
    return Settings(settings.root, remote=url, **fields)  # type: ignore[arg-type]


def test_a_platform_that_hosts_goes_on_hosting(settings: Settings) -> None:
    assert recall_remote(settings) == settings
    assert not (settings.state / REMOTE_FILE).exists()


def test_a_remote_need_be_named_once(settings: Settings, tmp_path: Path) -> None:
    token = tmp_path / "token"
    first = recall_remote(following(settings, remote_user="ada", remote_token_file=token))
    again = recall_remote(settings)

    assert (again.remote, again.remote_user, again.remote_token_file) == (URL, "ada", token)
    assert first.remote == URL
    assert (settings.state / REMOTE_FILE).stat().st_mode & 0o777 == 0o600


def test_another_url_takes_the_place_of_the_one_before(settings: Settings) -> None:
    recall_remote(following(settings))
    recall_remote(following(settings, "git@git.example:owner/lab.git"))

    assert recall_remote(settings).remote == "git@git.example:owner/lab.git"


def test_what_was_pushed_here_is_never_overwritten_by_a_remote(settings: Settings, tmp_path: Path) -> None:
    hosted = settings.state / "git" / "lab.git"
    worktree = Worktree(tmp_path / "work", str(hosted))
    worktree.git("init", "--quiet", "--bare", str(hosted))
    assert recall_remote(following(settings)).remote == URL  # nothing is there yet
    (settings.state / REMOTE_FILE).unlink()
    worktree.commit({"a": "1"})
    worktree.push()

    for _ in ("loose", "packed"):
        with pytest.raises(ConflictError, match="it hosts its own repository") as caught:
            recall_remote(following(settings))
        assert "--mirror" in caught.value.hint
        assert not (settings.state / REMOTE_FILE).exists()
        worktree.git("--git-dir", str(hosted), "pack-refs", "--all")


def test_a_url_that_cannot_be_followed_is_not_remembered(settings: Settings) -> None:
    with pytest.raises(UserError, match="BadURL"):
        recall_remote(following(settings, "gopher://x"))
    assert not (settings.state / REMOTE_FILE).exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"version": 9, "url": "x", "user": "", "token_file": ""}'])
def test_a_damaged_file_is_not_taken_for_none(settings: Settings, content: str) -> None:
    (settings.state / REMOTE_FILE).write_text(content)
    with pytest.raises(UserError, match=r"Damaged|Version"):
        recall_remote(settings)


def test_the_token_stays_in_its_file(settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    token.chmod(0o644)
    found = recall_remote(following(settings, remote_token_file=token))
    upstream = make_upstream(found)

    assert (upstream.url, upstream.username, upstream.password) == (URL, "git", "s3cret")
    assert "can be read by others" in caplog.text
    assert "s3cret" not in (settings.state / REMOTE_FILE).read_text() + caplog.text + repr(upstream)
    assert json.loads((settings.state / REMOTE_FILE).read_text())["token_file"] == str(token)


def test_without_a_token_file_no_password_is_used(settings: Settings) -> None:
    assert make_upstream(following(settings)).password == ""


@pytest.mark.parametrize(("content", "reason"), [(None, "FileNotFoundError"), (b" \n", "Empty"), (b"\xff", "Unicode")])
def test_a_token_that_cannot_be_read_is_said(
    settings: Settings, tmp_path: Path, content: bytes | None, reason: str
) -> None:
    token = tmp_path / "token"
    if content is not None:
        token.write_bytes(content)
        token.chmod(0o600)
    with pytest.raises(UserError, match=reason):
        make_upstream(following(settings, remote_token_file=token))
