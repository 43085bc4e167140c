"""Keys: both kinds sign and verify, other kinds are refused with the reason, passwords are needed where set."""

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from towpath.attest.errors import KeyFileError
from towpath.attest.keys import KeyKind, PrivateKey, generate_key, parse_private_key, parse_public_keys


@pytest.fixture(params=list(KeyKind))
def key(request: pytest.FixtureRequest) -> PrivateKey:
    return generate_key(request.param)


def test_what_a_key_signs_its_public_half_recognises(key: PrivateKey) -> None:
    signature = key.sign(b"message")
    assert key.public.matches(signature, b"message")
    assert not key.public.matches(signature, b"massage")
    assert not key.public.matches(signature[:-1], b"message")
    assert not key.public.matches(b"", b"message")


def test_signing_twice_gives_the_same_bytes(key: PrivateKey) -> None:
    assert key.sign(b"message") == key.sign(b"message")


def test_a_pair_survives_its_files(key: PrivateKey) -> None:
    again = parse_private_key(key.to_pem(None), name="k")
    (public,) = parse_public_keys(key.public.to_pem(), name="k.pub")
    assert again.key_id == key.key_id == public.key_id
    assert public.matches(again.sign(b"message"), b"message")


def test_an_encrypted_key_needs_its_password(key: PrivateKey) -> None:
    pem = key.to_pem(b"open sesame")
    assert parse_private_key(pem, name="k", password=b"open sesame").key_id == key.key_id
    with pytest.raises(KeyFileError, match="PasswordMissing"):
        parse_private_key(pem, name="k")
    with pytest.raises(KeyFileError, match="password is wrong"):
        parse_private_key(pem, name="k", password=b"open barley")


def test_a_password_that_is_not_needed_does_no_harm(key: PrivateKey) -> None:
    assert parse_private_key(key.to_pem(None), name="k", password=b"unused").key_id == key.key_id


def test_no_representation_shows_a_private_key(key: PrivateKey) -> None:
    secret = key.to_pem(None).decode().splitlines()[1]
    assert secret not in repr(key)
    assert repr(key) == f"PrivateKey({key.key_id[:12]}…)"


def test_several_public_keys_may_stand_in_one_file() -> None:
    keys = [generate_key(kind).public for kind in (*KeyKind, *KeyKind)]
    pem = b"# mine\n" + b"\n".join(key.to_pem() for key in keys)
    assert [key.key_id for key in parse_public_keys(pem, name="k.pub")] == [key.key_id for key in keys]


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> tuple[bytes, bytes]:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private, public


@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(public_exponent=65537, key_size=2048)]
)
def test_keys_of_other_kinds_are_refused_by_name(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    private, public = _pem(key)
    with pytest.raises(KeyFileError, match=r"their\.pem cannot be used \(KeyKind\)"):
        parse_private_key(private, name="their.pem")
    with pytest.raises(KeyFileError, match=r"their\.pub cannot be used \(KeyKind\)"):
        parse_public_keys(public, name="their.pub")


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"-----BEGIN PUBLIC KEY-----\nnot base64\n-----END PUBLIC KEY-----\n"]
)
def test_a_file_that_holds_no_key_is_refused(content: bytes) -> None:
    with pytest.raises(KeyFileError, match="KeyUnreadable"):
        parse_public_keys(content, name="k")
    with pytest.raises(KeyFileError, match="KeyUnreadable"):
        parse_private_key(content, name="k")


def test_a_private_key_in_place_of_a_public_one_is_named_as_such(key: PrivateKey) -> None:
    with pytest.raises(KeyFileError, match="WrongHalf"):
        parse_public_keys(key.to_pem(None), name="k")
