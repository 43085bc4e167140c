"""Keys on disk: who may read them, what is never overwritten, where passwords come from."""

import os
import stat
from pathlib import Path

import pytest

from towpath.attest.errors import KeyFileError
from towpath.attest.keyfiles import find_signer, find_trusted, read_password, read_signer, read_trusted, write_pair
from towpath.attest.keys import KeyKind, generate_key
from towpath.errors import ConflictError

KEY = generate_key(KeyKind.P256)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_private_key_is_readable_by_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        pair = write_pair(tmp_path / "keys", KEY, name="attest", password=None)
    finally:
        os.umask(before)
    assert (mode_of(pair.private), mode_of(pair.public), mode_of(tmp_path / "keys")) == (0o600, 0o644, 0o700)


def test_what_was_written_is_found_again(tmp_path: Path) -> None:
    write_pair(tmp_path, KEY, name="attest", password=None)
    found = find_signer(tmp_path, {})
    assert found is not None
    assert found.key_id == KEY.key_id
    assert [key.key_id for key in find_trusted(tmp_path)] == [KEY.key_id]


def test_without_keys_there_is_no_signer_and_nobody_is_trusted(tmp_path: Path) -> None:
    assert find_signer(tmp_path / "none", {}) is None
    assert find_trusted(tmp_path / "none") == ()


@pytest.mark.parametrize("there", ["attest.key", "attest.pub"])
def test_an_existing_key_is_never_overwritten(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_bytes(b"precious")
    with pytest.raises(ConflictError, match="Exists"):
        write_pair(tmp_path, KEY, name="attest", password=None)
    assert (tmp_path / there).read_bytes() == b"precious"
    assert [path.name for path in tmp_path.iterdir()] == [there]


def test_a_link_in_the_place_of_a_key_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    (tmp_path / "attest.key").symlink_to(target)
    with pytest.raises(ConflictError):
        write_pair(tmp_path, KEY, name="attest", password=None)
    assert not target.exists()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("a file")
    with pytest.raises((KeyFileError, ConflictError), match="keys"):
        write_pair(tmp_path / "keys" / "deeper", KEY, name="attest", password=None)


def test_a_password_comes_from_the_environment_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("from file\n")
    assert read_password({"TOWPATH_KEY_PASSWORD": "direct"}) == b"direct"
    assert read_password({"TOWPATH_KEY_PASSWORD_FILE": str(file)}) == b"from file"
    assert read_password({}) is None
    with pytest.raises(KeyFileError, match="missing"):
        read_password({"TOWPATH_KEY_PASSWORD_FILE": str(tmp_path / "missing")})


def test_an_encrypted_key_is_read_with_its_password(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, KEY, name="attest", password=b"secret")
    assert b"ENCRYPTED" in pair.private.read_bytes()
    assert read_signer(pair.private, {"TOWPATH_KEY_PASSWORD": "secret"}).key_id == KEY.key_id
    with pytest.raises(KeyFileError, match="PasswordMissing"):
        read_signer(pair.private, {})


@pytest.mark.parametrize(
    ("mode", "kept"), [(0o600, True), (0o440, True), (0o604, False), (0o644, False), (0o620, False)]
)
def test_a_private_key_that_others_can_get_at_is_not_used(tmp_path: Path, mode: int, kept: bool) -> None:
    pair = write_pair(tmp_path, KEY, name="attest", password=None)
    pair.private.chmod(mode)
    if kept:
        assert read_signer(pair.private, {}).key_id == KEY.key_id
    else:
        with pytest.raises(KeyFileError, match="KeyOpen"):
            read_signer(pair.private, {})


def test_every_public_key_beside_ones_own_is_trusted(tmp_path: Path) -> None:
    other = generate_key(KeyKind.ED25519)
    write_pair(tmp_path, KEY, name="attest", password=None)
    (tmp_path / "github.pub").write_bytes(other.public.to_pem())
    assert [key.key_id for key in find_trusted(tmp_path)] == [KEY.key_id, other.key_id]


def test_a_trusted_key_that_cannot_be_read_is_an_error_and_not_left_out(tmp_path: Path) -> None:
    (tmp_path / "broken.pub").write_bytes(b"junk")
    with pytest.raises(KeyFileError, match="broken"):
        find_trusted(tmp_path)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "big.pub").write_bytes(b"x" * (1 << 20) + b"x")
    with pytest.raises(KeyFileError, match="TooLarge"):
        read_trusted(tmp_path / "big.pub")
