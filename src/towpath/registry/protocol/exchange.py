"""One request on its way through an endpoint, and the answers that endpoints share."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from towpath.http.body import Patience
from towpath.http.pouring import RequestBody
from towpath.oci.challenge import Scope
from towpath.oci.digest import Digest, InvalidDigestError
from towpath.oci.errors import ErrorCode, ErrorEntry, format_errors
from towpath.registry.access import Access, Caller
from towpath.registry.errors import RegistryError
from towpath.registry.service import Registry

API_VERSION = {"Docker-Distribution-API-Version": "registry/2.0"}
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a push came from: the account, and what its client said of itself."""

    caller: str = ""
    remote: str = ""
    user_agent: str = ""
    host: str = ""
    scheme: str = "http"


@dataclass(frozen=True, slots=True)
class PushEvent:
    """A tag that was set: for a channel, what followers wait for. `before` is the digest it had, or empty."""

    repository: str
    tag: str
    digest: str
    before: str = ""
    media_type: str = ""
    size: int = 0
    origin: Origin = Origin()


OnPush = Callable[[PushEvent], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Exchange:
    """What an endpoint needs: the request, who sent it, and the parts of its path."""

    request: Request
    registry: Registry
    access: Access
    caller: Caller
    repository: str
    parts: Mapping[str, str]
    on_push: OnPush | None
    patience: Patience

    def body(self, *, limit: int | None = None) -> RequestBody:
        """What the client sends, as long as it is not too slow."""
        return RequestBody(self.request, limit=limit, patience=self.patience)

    def origin(self) -> Origin:
        """Where this request came from, for who is told of pushes."""
        client, headers = self.request.client, self.request.headers
        scheme, _, host = self.access.url_for(self.request).partition("://")
        return Origin(
            caller=self.caller.account.name,
            remote=client.host if client else "",
            user_agent=headers.get("user-agent", ""),
            host=host,
            scheme=scheme,
        )

    def require(self, *actions: str) -> None:
        """Let the caller pass who may do all of this in the repository. Raises RegistryError."""
        self.access.require(self.request, self.caller, Scope.of_repository(self.repository, *actions))

    def require_listing(self) -> None:
        """Let the caller pass who may have the list of repositories. Raises RegistryError."""
        self.access.require_listing(self.request, self.caller)

    def may_mount(self, source: str) -> bool:
        """Whether the caller may mount from this repository. Raises RegistryError when a wider token would let it."""
        return self.access.may_mount(self.request, self.caller, source=source, target=self.repository)

    def digest(self, text: str) -> Digest:
        """A digest of the path or the query. Raises RegistryError (DIGEST_INVALID)."""
        try:
            return Digest.parse(text)
        except InvalidDigestError as error:
            raise RegistryError(ErrorCode.DIGEST_INVALID, error.problem, detail=text[:256]) from error

    def location(self, path: str) -> str:
        """A location below this repository; relative, because a proxy in front knows its own name best."""
        return f"/v2/{self.repository}/{path}"


def answer(
    status: int, headers: Mapping[str, str] | None = None, *, body: bytes = b"", media_type: str = ""
) -> Response:
    """A response with the headers that every answer of a registry has."""
    return Response(body, status, {**API_VERSION, **(headers or {})}, media_type or None)


def answer_json(document: Any, headers: Mapping[str, str] | None = None) -> Response:
    """A document with status 200."""
    return answer(200, headers, body=orjson.dumps(document), media_type=JSON)


def answer_error(
    status: int, code: ErrorCode, message: str, *, detail: Any = None, headers: Mapping[str, str] | None = None
) -> Response:
    """An error in the specification's form."""
    return answer(status, headers, body=format_errors(ErrorEntry(code, message, detail)), media_type=JSON)
