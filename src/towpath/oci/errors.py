"""The error codes of the distribution specification, their HTTP statuses, and the body that carries them.

One table for both sides: the registry answers by it, the client understands by it.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

# 256: enough to name the cause, little to leak.
SHOWN_MESSAGE_CHARACTERS = 256


class ErrorCode(StrEnum):
    """Codes of the specification, and one for what is not the client's fault."""

    BLOB_UNKNOWN = "BLOB_UNKNOWN"
    BLOB_UPLOAD_INVALID = "BLOB_UPLOAD_INVALID"
    BLOB_UPLOAD_UNKNOWN = "BLOB_UPLOAD_UNKNOWN"
    DIGEST_INVALID = "DIGEST_INVALID"
    MANIFEST_BLOB_UNKNOWN = "MANIFEST_BLOB_UNKNOWN"
    MANIFEST_INVALID = "MANIFEST_INVALID"
    MANIFEST_UNKNOWN = "MANIFEST_UNKNOWN"
    NAME_INVALID = "NAME_INVALID"
    NAME_UNKNOWN = "NAME_UNKNOWN"
    SIZE_INVALID = "SIZE_INVALID"
    UNAUTHORIZED = "UNAUTHORIZED"
    DENIED = "DENIED"
    UNSUPPORTED = "UNSUPPORTED"
    TOOMANYREQUESTS = "TOOMANYREQUESTS"
    UNKNOWN = "UNKNOWN"  # distribution's, for 5XX: the specification's list binds 4XX alone


STATUSES: dict[ErrorCode, int] = {
    ErrorCode.BLOB_UNKNOWN: 404,
    ErrorCode.BLOB_UPLOAD_INVALID: 400,
    ErrorCode.BLOB_UPLOAD_UNKNOWN: 404,
    ErrorCode.DIGEST_INVALID: 400,
    ErrorCode.MANIFEST_BLOB_UNKNOWN: 400,
    ErrorCode.MANIFEST_INVALID: 400,
    ErrorCode.MANIFEST_UNKNOWN: 404,
    ErrorCode.NAME_INVALID: 400,
    ErrorCode.NAME_UNKNOWN: 404,
    ErrorCode.SIZE_INVALID: 400,
    ErrorCode.UNAUTHORIZED: 401,
    ErrorCode.DENIED: 403,
    ErrorCode.UNSUPPORTED: 405,
    ErrorCode.TOOMANYREQUESTS: 429,
    ErrorCode.UNKNOWN: 500,
}


@dataclass(frozen=True, slots=True)
class ErrorEntry:
    """One entry of `errors`; `code` is any text, because registries invent codes."""

    code: str
    message: str
    detail: Any = None


def format_errors(*entries: ErrorEntry) -> bytes:
    """The JSON body `{"errors": […]}`."""
    return orjson.dumps({"errors": [_entry_document(entry) for entry in entries]})


def parse_errors(body: bytes) -> list[ErrorEntry]:
    """Read an error body; anything that is not one (a proxy's HTML page, an empty body) gives an empty list."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return []
    found = document.get("errors") if isinstance(document, dict) else None
    if not isinstance(found, list):
        return []
    return [
        ErrorEntry(
            str(entry.get("code", "")), str(entry.get("message", ""))[:SHOWN_MESSAGE_CHARACTERS], entry.get("detail")
        )
        for entry in found
        if isinstance(entry, dict)
    ]


def _entry_document(entry: ErrorEntry) -> dict[str, Any]:
    document: dict[str, Any] = {"code": entry.code, "message": entry.message}
    if entry.detail is not None:
        document["detail"] = entry.detail
    return document
