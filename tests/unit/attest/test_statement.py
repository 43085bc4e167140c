"""in-toto statements: equal values are equal bytes, and what is none is refused."""

import json

import pytest

from towpath.attest.errors import InvalidAttestationError
from towpath.attest.statement import TYPE, Statement, Subject, format_statement, parse_statement
from towpath.oci.digest import Digest

IMAGE = Digest.of(b"image")
STATEMENT = Statement((Subject("r.example/app", IMAGE),), "https://example.com/predicate", {"b": 1, "a": [True]})


def test_a_statement_survives_its_own_format() -> None:
    assert parse_statement(format_statement(STATEMENT)) == STATEMENT


def test_the_format_is_the_specifications() -> None:
    assert json.loads(format_statement(STATEMENT)) == {
        "_type": TYPE,
        "subject": [{"name": "r.example/app", "digest": {"sha256": IMAGE.hex}}],
        "predicateType": "https://example.com/predicate",
        "predicate": {"a": [True], "b": 1},
    }


def test_a_statement_is_about_its_subjects_and_nothing_else() -> None:
    assert STATEMENT.is_about(IMAGE)
    assert not STATEMENT.is_about(Digest.of(b"other"))


def test_a_digest_of_an_unknown_algorithm_is_no_identity() -> None:
    document = json.loads(format_statement(STATEMENT))
    document["subject"][0]["digest"] = {"gitCommit": "0" * 40, "sha512": Digest.of(b"image", "sha512").hex}
    assert parse_statement(json.dumps(document).encode()).subjects[0].digest.algorithm == "sha512"


def test_the_older_version_of_the_type_is_read() -> None:
    raw = format_statement(STATEMENT).replace(b"Statement/v1", b"Statement/v0.1")
    assert parse_statement(raw).subjects == STATEMENT.subjects


@pytest.mark.parametrize(
    "change",
    [
        {"_type": "https://in-toto.io/Link/v1"},
        {"predicateType": 7},
        {"predicate": "text"},
        {"subject": []},
        {"subject": "x"},
        {"subject": [{"name": "x"}]},
        {"subject": [{"name": "x", "digest": "sha256:00"}]},
        {"subject": ["x"]},
    ],
)
def test_anything_else_is_no_statement(change: dict[str, object]) -> None:
    document = {**json.loads(format_statement(STATEMENT)), **change}
    with pytest.raises(InvalidAttestationError):
        parse_statement(json.dumps(document).encode())


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"null"])
def test_bytes_that_are_no_object_are_no_statement(raw: bytes) -> None:
    with pytest.raises(InvalidAttestationError):
        parse_statement(raw)
