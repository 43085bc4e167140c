import orjson
import pytest

from towpath.oci.errors import STATUSES, ErrorCode, ErrorEntry, format_errors, parse_errors

# The specification's list (distribution-spec, "Error Codes"), code-1 to code-14.
SPECIFIED = {
    "BLOB_UNKNOWN",
    "BLOB_UPLOAD_INVALID",
    "BLOB_UPLOAD_UNKNOWN",
    "DIGEST_INVALID",
    "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID",
    "MANIFEST_UNKNOWN",
    "NAME_INVALID",
    "NAME_UNKNOWN",
    "SIZE_INVALID",
    "UNAUTHORIZED",
    "DENIED",
    "UNSUPPORTED",
    "TOOMANYREQUESTS",
}


def test_every_specified_code_is_known_and_has_an_error_status() -> None:
    assert set(ErrorCode) >= SPECIFIED
    assert set(STATUSES) == set(ErrorCode)
    assert all(400 <= status <= 500 for status in STATUSES.values())


def test_body_and_entries_are_inverses() -> None:
    entries = [ErrorEntry("DENIED", "no"), ErrorEntry("UNKNOWN", "why", {"x": 1})]
    body = format_errors(*entries)
    assert parse_errors(body) == entries
    assert orjson.loads(body)["errors"][0] == {"code": "DENIED", "message": "no"}


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"errors": 1}', b'{"errors": [1]}'])
def test_other_bodies_carry_no_entries(body: bytes) -> None:
    assert parse_errors(body) == []


def test_a_long_message_is_cut() -> None:
    assert len(parse_errors(format_errors(ErrorEntry("X", "m" * 5000)))[0].message) == 256
