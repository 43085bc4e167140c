"""What an answer must be. Each function raises `Failed` with the request, what came and what should have come."""

import json
import re
from typing import Any

from conformance.registry.results import Problem
from conformance.registry.wire import Reply

# The specification's own list; a 4XX answer in JSON may use no other.
ERROR_CODES = frozenset(
    {
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
)
_CODE = re.compile(r"[A-Z_]+")


class Failed(Exception):  # noqa: N818 - it ends a check, and names its outcome
    """The registry broke the specification."""

    def __init__(self, reply: Reply, got: str, expected: str) -> None:
        super().__init__(f"{got}, expected {expected}")
        self.problem = Problem(reply.request, got, expected)


class Declined(Exception):  # noqa: N818 - it ends a check, and names its outcome
    """The registry declined what the specification lets it decline."""

    def __init__(self, reply: Reply, expected: str) -> None:
        super().__init__(expected)
        self.problem = Problem(reply.request, str(reply), f"{expected} (optional)")


def expect_status(reply: Reply, *statuses: int) -> None:
    """One of these statuses; a refusal must also be told in the specification's form."""
    if reply.status not in statuses:
        raise Failed(reply, str(reply), f"status {' or '.join(map(str, statuses))}")
    if 400 <= reply.status < 500:
        expect_error_form(reply)


def expect_error_form(reply: Reply) -> list[str]:
    """A JSON body of a refusal has `errors` with known codes; any other body is free. Returns the codes."""
    if "json" not in reply.headers.get("content-type", "") or not reply.body:
        return []
    document = read_json(reply)
    entries = document.get("errors") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise Failed(reply, str(reply), 'a JSON error body: {"errors": [{"code": …}]}')
    codes = [str(entry.get("code", "")) for entry in entries]
    if not codes or not all(_CODE.fullmatch(code) and code in ERROR_CODES for code in codes):
        raise Failed(reply, f"codes {codes}", "codes of the specification's list")
    return codes


def expect_header(reply: Reply, name: str, *values: str) -> None:
    """A header with one of these values."""
    found = reply.headers.get(name)
    if found not in values:
        raise Failed(reply, f"{name}: {found}", f"{name}: {' or '.join(values)}")


def expect_location(reply: Reply) -> str:
    """The header `Location`; returns it."""
    location: str = reply.headers.get("location", "")
    if not location:
        raise Failed(reply, f"{reply} without a Location", "a Location header")
    return location


def expect_digest(reply: Reply, digest: str, *, required: bool) -> None:
    """`Docker-Content-Digest` is this digest; it may be left out unless it is required."""
    found = reply.headers.get("docker-content-digest")
    if found != digest and (found or required):
        raise Failed(reply, f"Docker-Content-Digest: {found}", f"Docker-Content-Digest: {digest}")


def expect_body(reply: Reply, content: bytes) -> None:
    """Exactly these bytes."""
    if reply.body != content:
        place = next((i for i, (a, b) in enumerate(zip(reply.body, content, strict=False)) if a != b), None)
        at = "one is cut short" if place is None else f"first difference at byte {place}"
        raise Failed(reply, f"{len(reply.body)} bytes, {at}", f"the {len(content)} bytes that were pushed")


def read_json(reply: Reply) -> Any:
    """The body as JSON."""
    try:
        return json.loads(reply.body)
    except ValueError:
        raise Failed(reply, str(reply), "a JSON body") from None
