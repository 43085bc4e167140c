"""`towpath verify` against a real registry: verdicts, exit codes, keys and logins."""

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.attested import COMMIT, SOURCE, Shelf
from fakes.canned_platform import CannedPlatform
from fakes.registry import password
from fakes.registry_process import run_registry
from towpath.attest.keyfiles import write_pair
from towpath.attest.keys import KeyKind, PrivateKey, generate_key
from towpath.oci.keyring import Credential, Keyring, format_docker_config
from towpath.oci.reference import Reference
from towpath.ociclient.client import RegistryClient

Type = Callable[..., Any]
KEY = generate_key(KeyKind.P256)
REFUSED, NOT_FOUND, PEER_FAILED, CORRUPT = 3, 4, 6, 7


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with run_registry(tmp_path / "registry") as registry:
        logins = tmp_path / "logins.json"
        logins.write_bytes(format_docker_config({registry.host: Credential("reader", password("reader"))}))
        monkeypatch.setenv("REGISTRY_AUTH_FILE", str(logins))
        monkeypatch.chdir(tmp_path)
        yield registry.host


@pytest.fixture
def public_key(tmp_path: Path) -> str:
    return str(write_pair(tmp_path / "pair", KEY, name="k", password=None).public)


def push(host: str, *, sign_with: PrivateKey | None = KEY, commit: str = COMMIT, tag: str = "sha-0123456") -> str:
    """An image with provenance and SBOM, signed or not."""
    reference = Reference.parse(f"{host}/lab/sensor:{tag}")

    async def run() -> None:
        client = RegistryClient(keyring=Keyring.of({host: Credential("admin", password("admin"))}))
        shelf = await Shelf(client, reference).fill(revision=commit)
        if sign_with is not None:
            await shelf.attach_signed(sign_with, shelf.origin(commit=commit), shelf.listed(shelf.contents()))
        await client.close()

    asyncio.run(run())
    return str(reference)


def verdicts(said: Any) -> dict[str, str]:
    return {check["check"]: check["verdict"] for check in said.json()["checks"]}


def test_a_signed_image_is_verified(host: str, public_key: str, type_: Type) -> None:
    said = type_("verify", push(host), "--key", public_key, "--source", SOURCE, "--commit", COMMIT)
    assert (said.code, said.err) == (0, "")
    assert said.lines[-1] == "verified"
    assert "sha256:" in said.lines[0]


def test_programs_get_the_same_as_json(host: str, public_key: str, type_: Type) -> None:
    said = type_("verify", push(host), "--key", public_key, "-o", "json")
    assert said.code == 0
    assert said.json()["verdict"] == "passed"
    assert set(verdicts(said).values()) == {"passed"}


def test_an_unsigned_image_is_refused_and_called_so(host: str, type_: Type) -> None:
    said = type_("verify", push(host, sign_with=None))
    assert said.code == REFUSED
    assert "UNSIGNED" in said.out
    assert "towpath keys create" in said.out


def test_the_wrong_key_is_refused(host: str, public_key: str, type_: Type) -> None:
    said = type_("verify", push(host, sign_with=generate_key(KeyKind.P256)), "--key", public_key)
    assert said.code == REFUSED
    assert "none of the trusted keys" in said.out


def test_another_commit_than_expected_is_refused(host: str, public_key: str, type_: Type) -> None:
    said = type_("verify", push(host), "--key", public_key, "--commit", "f" * 40, "-o", "json")
    assert said.code == REFUSED
    assert verdicts(said)["provenance"] == "failed"


def test_a_commit_that_is_cut_short_needs_a_repository_to_be_understood(
    host: str, public_key: str, type_: Type
) -> None:
    said = type_("verify", push(host), "--key", public_key, "--commit", COMMIT[:7])
    assert (said.code, "BadCommit" in said.err) == (2, True)


def test_keys_of_the_platform_are_taken_and_its_commits_are_asked_for(
    host: str, tmp_path: Path, type_: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = tmp_path / "lab"
    write_pair(lab / ".towpath" / "keys", KEY, name="attest", password=None)
    (lab / "towpath.yaml").write_text("")

    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=x", "-c", "user.email=x@example.com")
        done = subprocess.run(["git", *identity, *arguments], cwd=lab, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init", "-q")
    git("add", "towpath.yaml")
    git("commit", "-q", "-m", "first")
    monkeypatch.chdir(lab)
    head = git("rev-parse", "HEAD")
    known = type_("verify", push(host, commit=head), "--commit", head[:7], "-o", "json")
    assert verdicts(known)["commit"] == "passed"
    assert known.code == 0


def test_a_commit_that_the_repository_lacks_is_refused(
    host: str, tmp_path: Path, type_: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = tmp_path / "lab"
    write_pair(lab / ".towpath" / "keys", KEY, name="attest", password=None)
    (lab / "towpath.yaml").write_text("")
    subprocess.run(["git", "init", "-q"], cwd=lab, check=True)
    monkeypatch.chdir(lab)
    said = type_("verify", push(host), "-o", "json")
    assert (said.code, verdicts(said)["commit"]) == (REFUSED, "failed")


def test_no_image_no_registry_and_no_key_have_codes_of_their_own(host: str, type_: Type) -> None:
    assert type_("verify", f"{host}/lab/sensor:sha-7654321").code == NOT_FOUND
    assert type_("verify", "127.0.0.1:1/lab/sensor:x").code == PEER_FAILED
    said = type_("verify", f"{host}/lab/sensor:x", "--key", "nowhere.pub")
    assert (said.code, "nowhere.pub" in said.err) == (2, True)


def test_an_image_for_another_platform_only_is_not_found(host: str, public_key: str, type_: Type) -> None:
    said = type_("verify", push(host), "--key", public_key, "--platform", "linux/s390x")
    assert said.code == NOT_FOUND


def test_a_service_is_looked_for_in_the_platforms_registry(platform: CannedPlatform, host: str, type_: Type) -> None:
    push(host)
    platform.answer("GET /status", {"registry": f"{host}/lab", "channel": "edge", "environments": []})
    here = ("-C", str(platform.root))
    said = type_("verify", "sensor:sha-0123456", "--allow-unsigned", "-o", "json", *here)
    assert said.json()["image"].startswith(f"{host}/lab/sensor:sha-0123456@sha256:")
    newest = type_("verify", "sensor", *here)
    assert newest.code == NOT_FOUND
    assert f"{host}/lab/sensor:edge" in newest.err
    assert newest.err.count(f"{host}/lab/sensor:") == 1, "nothing is checked out"


def git(directory: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    done = subprocess.run(["git", *identity, *arguments], cwd=directory, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def lab_of(directory: Path, host: str) -> str:
    """A platform repository in front of a registry; the commit it is at."""
    directory.mkdir()
    (directory / "towpath.yaml").write_text(f"registry: {host}/lab\n")
    git(directory, "init", "-q")
    git(directory, "add", "towpath.yaml")
    git(directory, "commit", "-q", "-m", "first")
    return git(directory, "rev-parse", "HEAD")


def test_a_service_is_looked_for_where_the_blueprint_says_when_no_platform_runs(
    host: str, tmp_path: Path, type_: Type
) -> None:
    lab_of(tmp_path / "lab", host)
    push(host)
    said = type_("verify", "sensor:sha-0123456", "--allow-unsigned", "-o", "json", "-C", str(tmp_path / "lab"))
    assert said.json()["image"].startswith(f"{host}/lab/sensor:sha-0123456@sha256:")


def test_a_service_without_a_tag_is_the_channels_image_or_that_of_the_commit_checked_out(
    host: str, tmp_path: Path, type_: Type
) -> None:
    head = lab_of(tmp_path / "lab", host)
    arguments = ("verify", "sensor", "--allow-unsigned", "-o", "json", "-C", str(tmp_path / "lab"))
    missing = type_(*arguments)
    assert missing.code == NOT_FOUND
    assert [f"{host}/lab/sensor:{tag}" in missing.err for tag in ("canary", f"sha-{head[:7]}")] == [True, True]
    push(host, commit=head, tag=f"sha-{head[:7]}")
    assert f"sensor:sha-{head[:7]}@" in type_(*arguments).json()["image"]
    push(host, commit=head, tag="canary")
    assert "sensor:canary@" in type_(*arguments).json()["image"]


def test_what_was_not_pushed_to_the_platform_is_looked_for_where_the_blueprint_says(
    platform: CannedPlatform, host: str, type_: Type
) -> None:
    push(host)
    (platform.root / "towpath.yaml").write_text(f"registry: {host}/lab\n")
    platform.answer("GET /status", {"registry": "", "channel": "", "environments": []})
    here = ("-C", str(platform.root))
    said = type_("verify", "sensor:sha-0123456", "--allow-unsigned", "-o", "json", *here)
    assert said.json()["image"].startswith(f"{host}/lab/sensor:sha-0123456@sha256:")


@pytest.mark.usefixtures("host")
def test_a_service_outside_of_a_platform_repository_is_told_what_it_lacks(type_: Type) -> None:
    said = type_("verify", "sensor")
    assert (said.code, "whole reference" in said.err) == (2, True)
