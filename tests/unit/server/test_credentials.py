"""The platform's own secrets."""

import json
from pathlib import Path

import pytest

from towpath.errors import UserError
from towpath.server.credentialfile import load_or_create
from towpath.server.credentials import FILE, read


def test_they_are_made_once_and_readable_by_their_owner_alone(tmp_path: Path) -> None:
    made = load_or_create(tmp_path)

    assert load_or_create(tmp_path) == made == read(tmp_path)
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert len({made.admin_token, made.webhook_secret, made.signing_key}) == 3
    assert made.admin_token not in repr(made)


def test_tokens_of_the_registry_have_a_key_of_their_own_that_outlasts_a_restart(tmp_path: Path) -> None:
    made = load_or_create(tmp_path)

    assert made.registry_token_key() == read(tmp_path).registry_token_key()
    assert made.registry_token_key() != made.signing_key.encode()


def test_every_forge_has_a_webhook_secret_of_its_own(tmp_path: Path) -> None:
    secrets = load_or_create(tmp_path)
    made = {forge: secrets.webhook_secret_of(forge) for forge in ("github", "gitlab")}

    assert len({*made.values(), secrets.webhook_secret}) == 3
    assert read(tmp_path).webhook_secret_of("github") == made["github"]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"version": 1}', '{"version": 1, "admin_token": "x"}'])
def test_a_damaged_file_is_said_with_the_way_out(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(UserError, match="Damaged") as caught:
        load_or_create(tmp_path)
    assert "new credentials" in caught.value.hint


def test_a_file_of_another_version_is_left_alone(tmp_path: Path) -> None:
    load_or_create(tmp_path)
    document = {**json.loads((tmp_path / FILE).read_text()), "version": 2}
    (tmp_path / FILE).write_text(json.dumps(document))
    with pytest.raises(UserError, match="it has version 2, expected 1"):
        read(tmp_path)


def test_no_file_means_no_platform(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="NotFound") as caught:
        read(tmp_path)
    assert "towpath up" in caught.value.hint
