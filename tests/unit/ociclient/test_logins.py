"""Logins: which file, which entry, and what a credential helper says."""

import base64
import json
import stat
from pathlib import Path

import pytest

from towpath.errors import UserError
from towpath.oci.keyring import Credential
from towpath.oci.reference import Reference
from towpath.ociclient.logins import CredentialHelperError, find_login_file, read_logins

GHCR = Reference.parse("ghcr.io/me/lab/sensor")


def write(path: Path, document: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def install_helper(directory: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = directory / "docker-credential-vault"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")


def test_the_first_file_that_exists_is_the_one(tmp_path: Path) -> None:
    home = write(tmp_path / "home" / ".docker" / "config.json", {})
    podman = tmp_path / "run" / "containers" / "auth.json"
    docker = tmp_path / "docker" / "config.json"
    environ = {"XDG_RUNTIME_DIR": str(tmp_path / "run"), "DOCKER_CONFIG": str(docker.parent)}
    assert find_login_file(environ, home=tmp_path / "home") == home
    write(podman, {})
    assert find_login_file(environ, home=tmp_path / "home") == podman
    write(docker, {})
    assert find_login_file(environ, home=tmp_path / "home") == docker
    named = write(tmp_path / "named.json", {})
    environ["REGISTRY_AUTH_FILE"] = str(named)
    assert find_login_file(environ, home=tmp_path / "home") == named
    assert find_login_file({}, home=tmp_path) is None


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="NotFound"):
        find_login_file({}, home=tmp_path, named=tmp_path / "nowhere.json")


async def test_without_a_file_nobody_is_logged_in() -> None:
    assert (await read_logins(None, "ghcr.io")).find(GHCR) == []


async def test_a_plain_login_is_read(tmp_path: Path) -> None:
    auth = base64.b64encode(b"me:token").decode()
    file = write(tmp_path / "config.json", {"auths": {"ghcr.io": {"auth": auth}, "quay.io": {}}})
    assert (await read_logins(file, "ghcr.io")).find(GHCR) == [Credential("me", "token")]


@pytest.mark.parametrize("content", ["", "[]", "{", '{"auths": []}'])
async def test_a_file_that_is_none_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(content)
    with pytest.raises(UserError):
        await read_logins(file, "ghcr.io")


@pytest.mark.parametrize("document", [{"credsStore": "vault"}, {"credHelpers": {"ghcr.io": "vault"}}])
async def test_a_helper_is_asked_for_the_registry_at_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, document: dict[str, object]
) -> None:
    install_helper(tmp_path, monkeypatch, f'cat > {tmp_path}/asked; echo \'{{"Username":"me","Secret":"s3"}}\'')
    file = write(tmp_path / "config.json", {**document, "auths": {"ghcr.io": {}}})
    assert (await read_logins(file, "ghcr.io")).find(GHCR) == [Credential("me", "s3")]
    assert (tmp_path / "asked").read_text() == "ghcr.io"


async def test_docker_hub_has_its_own_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_helper(tmp_path, monkeypatch, f'cat > {tmp_path}/asked; echo \'{{"Username":"me","Secret":"s3"}}\'')
    file = write(tmp_path / "config.json", {"credsStore": "vault"})
    keyring = await read_logins(file, "docker.io")
    assert keyring.find(Reference.parse("docker.io/me/lab")) == [Credential("me", "s3")]
    assert (tmp_path / "asked").read_text() == "https://index.docker.io/v1/"


async def test_a_helper_without_a_login_leaves_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_helper(tmp_path, monkeypatch, "echo credentials not found in native keychain; exit 1")
    auth = base64.b64encode(b"me:token").decode()
    file = write(tmp_path / "config.json", {"credsStore": "vault", "auths": {"ghcr.io": {"auth": auth}}})
    assert (await read_logins(file, "ghcr.io")).find(GHCR) == [Credential("me", "token")]


@pytest.mark.parametrize("script", ["echo locked: s3cret; exit 1", "echo s3cret", 'echo "{}"'])
async def test_a_helper_that_fails_is_named_and_its_words_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    install_helper(tmp_path, monkeypatch, script)
    file = write(tmp_path / "config.json", {"credsStore": "vault"})
    with pytest.raises(CredentialHelperError, match="docker-credential-vault") as caught:
        await read_logins(file, "ghcr.io")
    assert "s3cret" not in caught.value.diagnostics()


async def test_a_helper_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    file = write(tmp_path / "config.json", {"credsStore": "vault"})
    with pytest.raises(CredentialHelperError, match="NotFound"):
        await read_logins(file, "ghcr.io")


async def test_a_helper_is_a_name_and_no_path(tmp_path: Path) -> None:
    file = write(tmp_path / "config.json", {"credsStore": "../../bin/sh"})
    assert (await read_logins(file, "ghcr.io")).find(GHCR) == []
