"""Raw HTTP to the registry under test: requests as a client would send them, replies as they came.

It knows the two ways in (a password, or a token fetched as the challenge says) and resolves `Location` headers; what an
answer should be is said in `expectations`.
"""

import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlencode, urljoin

import httpx

# 512: enough of a body to see what a registry meant.
SHOWN_CHARACTERS = 512
ACCEPTED = (
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, */*"
)
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
_REPOSITORY = re.compile(r"/v2/(.+?)/(?:blobs|manifests|tags|referrers)/")
_READING = frozenset({"GET", "HEAD"})
Headers = dict[str, str]


@dataclass(frozen=True)
class Reply:
    """An answer, and the request it answers."""

    request: str
    url: str
    status: int
    headers: httpx.Headers
    body: bytes

    def __str__(self) -> str:
        text = self.body[:SHOWN_CHARACTERS].decode("utf-8", "backslashreplace")
        told = f", {text}" if text and "json" in self.headers.get("content-type", "") else ""
        return f"status {self.status}, {len(self.body)} bytes{told}"


@dataclass(frozen=True)
class Target:
    """Where the registry is, and who asks: without a user, nobody."""

    url: str
    user: str = ""
    password: str = ""
    ca: str = ""


class Wire:
    """A connection to the registry under test."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._authorizations: dict[tuple[str, str], str] = {}
        self._client = httpx.Client(
            verify=ssl.create_default_context(cafile=target.ca or None),
            timeout=60,
            headers={"Accept": ACCEPTED, "Accept-Encoding": "identity", "User-Agent": "registry-conformance"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def send(
        self,
        method: str,
        location: str,
        body: bytes = b"",
        *,
        headers: Headers | None = None,
        parameters: list[tuple[str, str]] | None = None,
        piece: int = 0,
        fresh: bool = False,
    ) -> Reply:
        """Send a request, and once more with a token when it is challenged.

        Args:
            method: the method.
            location: a path, or a URL as a `Location` header gave it.
            body: what to send.
            headers: beside those of every request.
            parameters: added to the query that `location` may have.
            piece: when given, send the body chunked, in pieces of so many bytes and without its length.
            fresh: begin without a token, as a client that keeps none: the first challenge must name all it needs.

        Raises:
            httpx.HTTPError: there was no readable answer.
        """
        url = urljoin(self._target.url.rstrip("/") + "/", location)
        if parameters:
            url += ("&" if "?" in url else "?") + urlencode(parameters)
        key = _authorization_key(method, url)
        known = "" if fresh else self._authorizations.get(key, "")
        reply = self._exchange(method, url, body, headers or {}, piece, known)
        if reply.status == httpx.codes.UNAUTHORIZED and self._target.user:
            self._authorizations[key] = self._authorize(reply)
            reply = self._exchange(method, url, body, headers or {}, piece, self._authorizations[key])
        return reply

    def _exchange(self, method: str, url: str, body: bytes, headers: Headers, piece: int, authorization: str) -> Reply:
        content = _pieces(body, piece) if piece else body
        sent = {**headers, **({"Authorization": authorization} if authorization else {})}
        if not body and not piece and method not in _READING:
            sent["Content-Length"] = "0"
        response = self._client.request(method, url, content=content, headers=sent, follow_redirects=method in _READING)
        shown = "".join(f"; {name}: {value}" for name, value in headers.items())
        described = f"{method} {url}{shown}" + (f" ({len(body)} bytes)" if body else "")
        return Reply(described, url, response.status_code, response.headers, response.content)

    def _authorize(self, reply: Reply) -> str:
        challenge = reply.headers.get("www-authenticate", "")
        parameters = dict(_PARAMETER.findall(challenge))
        basic = httpx.BasicAuth(self._target.user, self._target.password)
        if not challenge.lower().startswith("bearer"):
            return str(next(basic.auth_flow(httpx.Request("GET", reply.url))).headers["Authorization"])
        query = {name: parameters[name] for name in ("service", "scope") if name in parameters}
        answer = self._client.get(urljoin(reply.url, parameters.get("realm", "")), params=query, auth=basic)
        answer.raise_for_status()
        document = answer.json()
        return f"Bearer {document.get('token') or document.get('access_token')}"


def _pieces(body: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


def _authorization_key(method: str, url: str) -> tuple[str, str]:
    found = _REPOSITORY.search(url)
    kind = "pull" if method in _READING else "delete" if method == "DELETE" else "push"
    return found.group(1) if found else "", kind
