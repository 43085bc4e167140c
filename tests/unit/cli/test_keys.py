"""`towpath keys`: a pair in one command, never over another one."""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from towpath.attest.keys import parse_private_key, parse_public_keys

Type = Callable[..., Any]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "towpath.yaml").write_text("")
    monkeypatch.chdir(tmp_path)
    for name in ("TOWPATH_KEY_PASSWORD", "TOWPATH_KEY_PASSWORD_FILE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_a_pair_is_made_in_one_command(lab: Path, type_: Type) -> None:
    said = type_("keys", "create")
    private, public = (lab / ".towpath" / "keys" / name for name in ("attest.key", "attest.pub"))
    assert said.code == 0
    assert str(private) in said.out
    assert str(public) in said.out
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    key = parse_private_key(private.read_bytes(), name="k")
    assert parse_public_keys(public.read_bytes(), name="k")[0].key_id == key.key_id
    assert "BEGIN" not in said.out


def test_a_second_pair_does_not_replace_the_first(lab: Path, type_: Type) -> None:
    type_("keys", "create")
    before = (lab / ".towpath" / "keys" / "attest.key").read_bytes()
    said = type_("keys", "create")
    assert said.code == 5
    assert "Exists" in said.err
    assert (lab / ".towpath" / "keys" / "attest.key").read_bytes() == before


def test_a_pair_can_be_of_the_other_kind_and_elsewhere(lab: Path, type_: Type) -> None:
    said = type_("keys", "create", "--kind", "ed25519", "--to", str(lab / "ci"), "--name", "ci", "-o", "json")
    document = said.json()
    assert (document["kind"], document["encrypted"]) == ("ed25519", False)
    assert Path(document["public"]) == lab / "ci" / "ci.pub"


def test_a_password_from_the_environment_encrypts_the_key(
    lab: Path, type_: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOWPATH_KEY_PASSWORD", "open sesame")
    said = type_("keys", "create")
    assert "encrypted" in said.out
    assert "open sesame" not in said.out
    assert b"ENCRYPTED" in (lab / ".towpath" / "keys" / "attest.key").read_bytes()


def test_a_name_that_leads_elsewhere_is_refused(lab: Path, type_: Type) -> None:
    assert type_("keys", "create", "--name", "../x").code == 2
    assert not (lab / ".towpath").exists()


def test_trusted_keys_are_listed(lab: Path, type_: Type) -> None:
    assert "no key is trusted" in type_("keys", "list").out
    type_("keys", "create")
    other = parse_public_keys((lab / ".towpath" / "keys" / "attest.pub").read_bytes(), name="k")[0]
    (lab / ".towpath" / "keys" / "github.pub").write_bytes(other.to_pem())
    said = type_("keys", "list")
    assert [line.split()[0] for line in said.lines] == ["NAME", "attest", "github"]
    assert [row["signs"] for row in type_("keys", "list", "-o", "json").json()["keys"]] == [True, False]


def test_outside_of_a_platform_repository_a_place_must_be_named(
    tmp_path: Path, type_: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert type_("keys", "create").code == 2
    assert type_("keys", "create", "--to", str(tmp_path / "keys")).code == 0
