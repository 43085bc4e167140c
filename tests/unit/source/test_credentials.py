import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.source.credentials import (
    CredentialRequestError,
    GitCredential,
    answer,
    format_attributes,
    parse_attributes,
)

OURS = GitCredential("http://127.0.0.1:7070", "developer", "s3cret")
ASKED = "protocol=http\nhost=127.0.0.1:7070\n\n"


def test_our_origin_gets_our_credentials() -> None:
    assert answer("get", ASKED, OURS) == "username=developer\npassword=s3cret\n"


@pytest.mark.parametrize(
    "asked",
    [
        "protocol=https\nhost=127.0.0.1:7070\n",
        "protocol=http\nhost=127.0.0.1\n",
        "protocol=http\nhost=evil.example:7070\n",
        "protocol=http\nhost=127.0.0.1:7070\nusername=root\n",
        "host=127.0.0.1:7070\n",
        "",
    ],
)
def test_any_other_origin_or_user_gets_nothing(asked: str) -> None:
    assert answer("get", asked, OURS) == ""


@pytest.mark.parametrize(
    "asked",
    [
        "protocol=http\nhost=127.0.0.1:7070\nusername=developer\n",
        "url=http://127.0.0.1:7070/git/lab.git\n",
        "url=http://developer@127.0.0.1:7070/\n",
        "capability[]=authtype\nprotocol=http\nhost=127.0.0.1:7070\nwwwauth[]=Basic realm=x\n\nrest ignored",
    ],
)
def test_the_ways_git_asks_are_understood(asked: str) -> None:
    assert answer("get", asked, OURS).startswith("username=")


@pytest.mark.parametrize("operation", ["store", "erase", "invented"])
def test_other_operations_are_silent(operation: str) -> None:
    assert answer(operation, ASKED, OURS) == ""


def test_without_a_platform_the_helper_is_silent() -> None:
    assert answer("get", ASKED, None) == ""


@pytest.mark.parametrize("text", ["nonsense\n", "host=a\rb\n", "host=a\x00b\n"])
def test_a_malformed_request_is_refused(text: str) -> None:
    with pytest.raises(CredentialRequestError):
        parse_attributes(text)


def test_a_value_with_a_line_break_is_never_written() -> None:
    with pytest.raises(CredentialRequestError, match="LineBreak"):
        format_attributes({"password": "x\nhost=evil"})


def test_the_password_never_shows() -> None:
    assert "s3cret" not in repr(OURS)


values = st.text(st.characters(exclude_characters="\n\r\x00", exclude_categories=["Cs"]), max_size=20)


@given(st.dictionaries(st.sampled_from(["protocol", "host", "path", "username", "password"]), values))
def test_what_is_written_is_what_is_read(attributes: dict[str, str]) -> None:
    assert parse_attributes(format_attributes(attributes)) == attributes
