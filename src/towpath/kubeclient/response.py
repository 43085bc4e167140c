"""What an answer means: an object, a page of a list, an error, warnings. Pure.

An error answer is a `Status` from Kubernetes itself, or anything at all from what stands before it (a proxy, a load
balancer); both become an error of `kube.errors`, by reason and else by code.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from towpath.kube.errors import (
    ERRORS_BY_REASON,
    ApiConflictError,
    ApiError,
    ApiNotFoundError,
    BadRequestError,
    ExpiredError,
    ForbiddenError,
    InvalidError,
    MethodNotAllowedError,
    RequestEntityTooLargeError,
    ServerTimeoutError,
    ServiceUnavailableError,
    TooManyRequestsError,
    UnauthorizedError,
    UnsupportedMediaTypeError,
)
from towpath.kube.objects import GVK, Object

# 256: enough to recognise a proxy's error page, little to leak.
SHOWN_BODY_CHARACTERS = 256
_ERRORS_BY_CODE: Mapping[int, type[ApiError]] = {
    400: BadRequestError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: ApiNotFoundError,
    405: MethodNotAllowedError,
    409: ApiConflictError,
    410: ExpiredError,
    413: RequestEntityTooLargeError,
    415: UnsupportedMediaTypeError,
    422: InvalidError,
    429: TooManyRequestsError,
    502: ServiceUnavailableError,
    503: ServiceUnavailableError,
    504: ServerTimeoutError,
}
_WARNING = re.compile(r'(?P<code>\d{3}) (?P<agent>\S+) "(?P<text>(?:[^"\\]|\\.)*)"(?: "[^"]*")?\s*(?:,\s*|$)')


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list; an empty `continue_token` ends it."""

    items: list[Object]
    resource_version: str
    continue_token: str


def parse_object(content: bytes) -> Object:
    """An object. Raises ServiceUnavailableError when the answer is none."""
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise ServiceUnavailableError(
            f"the server answered with something other than JSON: {_shown(content)}"
        ) from error
    if not isinstance(document, dict):
        raise ServiceUnavailableError(f"the server answered with something other than an object: {_shown(content)}")
    return document


def parse_page(content: bytes, gvk: GVK) -> Page:
    """A page of a list, whose items say their kind: a typed list leaves it out of each item."""
    document = parse_object(content)
    metadata = document.get("metadata") or {}
    head = {"apiVersion": gvk.api_version, "kind": gvk.kind}
    items = [{**head, **item} for item in document.get("items") or []]
    return Page(items, str(metadata.get("resourceVersion") or ""), str(metadata.get("continue") or ""))


def parse_error(code: int, content: bytes) -> ApiError:
    """The error of an answer whose code says that there is one."""
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError:
        document = None
    if isinstance(document, dict) and document.get("kind") == "Status":
        return error_of_status(document, code=code)
    return _class_of("", code)(f"the server answered {code}: {_shown(content)}")


def error_of_status(status: Mapping[str, Any], *, code: int = 500) -> ApiError:
    """The error a `Status` document describes; `code` is the fallback where it does not say."""
    details = dict(status.get("details") or {})
    causes = [{key: str(value) for key, value in cause.items()} for cause in details.pop("causes", None) or []]
    kind = _class_of(str(status.get("reason") or ""), int(status.get("code") or code))
    return kind(str(status.get("message") or "the server gave no reason"), causes=causes, details=details)


def parse_warnings(header: str) -> list[str]:
    """The texts of `Warning` headers (RFC 7234, 5.5), several joined by commas; what is malformed is left out."""
    return [re.sub(r"\\(.)", r"\1", found["text"]) for found in _WARNING.finditer(header) if found["code"] == "299"]


def _class_of(reason: str, code: int) -> type[ApiError]:
    return ERRORS_BY_REASON.get(reason) or _ERRORS_BY_CODE.get(code) or ApiError


def _shown(content: bytes) -> str:
    text = " ".join(content[: 4 * SHOWN_BODY_CHARACTERS].decode(errors="replace").split())
    return text[:SHOWN_BODY_CHARACTERS] or "an empty body"
