import pytest

from towpath.http import credentials
from towpath.http.credentials import (
    BasicCredentials,
    SecretChecker,
    check_secret,
    equals_secret,
    format_basic,
    parse_basic,
    parse_bearer,
)

SALT = bytes(range(16))


def hash_secret(secret: str, *, salt: bytes = SALT) -> str:
    """A hash that is quick to check."""
    return credentials.hash_secret(secret, salt=salt, iterations=2)


def test_header_and_credentials_are_inverses() -> None:
    assert parse_basic(format_basic("ada", "p:ä ss")) == BasicCredentials("ada", "p:ä ss")


@pytest.mark.parametrize("header", ["", "Basic", "Basic !!", "Basic YWRh", "Bearer YTpi", "Basic /////w==", "Basic  "])
def test_other_headers_hold_no_basic_credentials(header: str) -> None:
    assert parse_basic(header) is None


def test_the_scheme_is_read_in_any_case() -> None:
    assert parse_basic("bAsIc YTpi") == BasicCredentials("a", "b")
    assert parse_bearer("bearer abc") == "abc"


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi"])
def test_other_headers_hold_no_token(header: str) -> None:
    assert parse_bearer(header) is None


def test_a_password_never_shows() -> None:
    assert "hunter2" not in repr(BasicCredentials("ada", "hunter2"))


def test_secrets_are_compared_whole() -> None:
    assert equals_secret("päss", "päss")
    assert not equals_secret("päss", "pass")


def test_a_hash_matches_its_secret_only() -> None:
    stored = hash_secret("right")
    assert "right" not in stored
    assert check_secret("right", stored)
    assert not check_secret("wrong", stored)
    assert stored != hash_secret("right", salt=SALT[::-1])


def test_the_work_factor_is_the_recommended_one() -> None:
    assert credentials.hash_secret("right", salt=SALT).startswith("pbkdf2-sha256$600000$000102")


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "right",
        "pbkdf2-sha256",
        "pbkdf2-sha256$2$zz$00",
        "pbkdf2-sha256$0$00$00",
        "pbkdf2-sha256$99999999999999999999$00$00",
        "pbkdf2-sha256$x$00$00",
        "plain$2$00$right",
        "pbkdf2-sha256$2$00$00$00",
    ],
)
def test_a_malformed_hash_matches_nothing(stored: str) -> None:
    assert not check_secret("right", stored)


async def test_a_secret_that_was_right_once_is_known_and_wrong_ones_are_not() -> None:
    checker = SecretChecker(key=b"k" * 32)
    stored = hash_secret("right")
    assert not await checker.check("wrong", stored)
    assert await checker.check("right", stored)
    assert len(checker._right) == 1
    assert await checker.check("right", stored)
    assert not await checker.check("wrong", stored)
    other = hash_secret("other")
    assert not await checker.check("right", other)


async def test_what_is_remembered_is_bounded_and_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("towpath.http.credentials.REMEMBERED_SECRETS", 2)
    checker = SecretChecker(key=b"k" * 32)
    for secret in ("one", "two", "three"):
        assert await checker.check(secret, hash_secret(secret))
    assert len(checker._right) == 2
    assert not any(b"one" in fingerprint or b"two" in fingerprint for fingerprint in checker._right)
