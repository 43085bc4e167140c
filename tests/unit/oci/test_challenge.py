import pytest

from towpath.oci.challenge import Challenge, Scope, format_challenge, parse_challenges, parse_scopes
from towpath.oci.syntax import InvalidTextError

BEARER = Challenge("bearer", {"realm": "https://h/token", "service": "svc", "scope": "repository:ns/app:pull,push"})


def test_header_and_challenge_are_inverses() -> None:
    assert parse_challenges(format_challenge(BEARER)) == [BEARER]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", []),
        ("Basic", [Challenge("basic")]),
        ('BASIC realm="x"', [Challenge("basic", {"realm": "x"})]),
        ('Basic Realm = "a, b \\"c\\""', [Challenge("basic", {"realm": 'a, b "c"'})]),
        ('Bearer realm=bare , service="s"', [Challenge("bearer", {"realm": "bare", "service": "s"})]),
        (
            'Negotiate, Basic realm="x", Bearer realm="y",scope="a b"',
            [
                Challenge("negotiate"),
                Challenge("basic", {"realm": "x"}),
                Challenge("bearer", {"realm": "y", "scope": "a b"}),
            ],
        ),
        ('Bearer realm="unfinished', [Challenge("bearer")]),
        ("=,=,\x00", []),
    ],
)
def test_headers_are_read(header: str, expected: list[Challenge]) -> None:
    assert parse_challenges(header) == expected


def test_a_scope_may_name_a_port() -> None:
    scope = Scope.parse("repository:localhost:5000/app:push,pull")
    assert scope == Scope("repository", "localhost:5000/app", frozenset({"pull", "push"}))
    assert str(scope) == "repository:localhost:5000/app:pull,push"


def test_scopes_repeat_and_share_a_value() -> None:
    scopes = parse_scopes(["repository:a:pull repository:b:pull,push", "repository:c:pull"])
    assert [scope.name for scope in scopes] == ["a", "b", "c"]


@pytest.mark.parametrize("text", ["", "repository", "repository:a", ":a:pull", "repository::pull"])
def test_other_texts_are_no_scope(text: str) -> None:
    with pytest.raises(InvalidTextError, match="scope is invalid"):
        Scope.parse(text)
