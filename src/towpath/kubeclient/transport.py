"""The I/O shell around `request` and `response`: connections, credentials, retries, and the gate before them.

Rules:
 * at most `concurrency` requests at once, fair between namespaces; a watch holds no place after its answer began;
 * 429 and 503 are sent again after the pause the server asks for, other failures only where that cannot do harm;
 * a 401 is tried once more with fresh credentials;
 * no error of another package leaves: what never became an answer is a ServiceUnavailableError.
"""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import quote

from towpath.aio.clock import Clock
from towpath.errors import RemoteError
from towpath.http.client import HttpClient, Request, Response, Route
from towpath.kube.errors import ApiError, ServiceUnavailableError, UnauthorizedError
from towpath.kubeclient.credentials import Credentials, CredentialSource
from towpath.kubeclient.gate import FairGate
from towpath.kubeclient.kubeconfig import Target, User
from towpath.kubeclient.request import PreparedRequest
from towpath.kubeclient.response import parse_error
from towpath.kubeclient.tls import create_tls_context

# 8: more of them bring no more answers a second on two cores, and httpcore's pool costs time with their square.
CONCURRENCY = 8
# kube-apiserver's own --request-timeout is 60 s.
TIMEOUT_SECONDS = 65.0
ATTEMPTS = 6
# Not 500: kube-apiserver says so of an applied configuration that does not fit the schema, which no repetition mends.
RETRIED_WRITING = frozenset({429, 503})
RETRIED_READING = RETRIED_WRITING | {502, 504}
# A page of 500 objects of 1.5 MiB, etcd's limit, would be more; no real one is.
ANSWER_LIMIT = 256 * 1024 * 1024
ERROR_LIMIT = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer, read whole."""

    status: int
    content: bytes
    warning: str  # the Warning headers, joined


class _BrokenOffError(ServiceUnavailableError):
    """A success whose answer did not arrive whole."""


class Transport:
    """Sends prepared requests to one target; close it when done."""

    def __init__(
        self, target: Target, *, credentials: CredentialSource, clock: Clock, concurrency: int = CONCURRENCY
    ) -> None:
        self._target = target
        self._credentials = credentials
        self._clock = clock
        self._gate = FairGate(concurrency)
        self._connections: HttpClient | None = None
        self._retired: HttpClient | None = None
        self._certificate = b""
        self._impersonation = _impersonation(target.user)

    async def send(self, prepared: PreparedRequest) -> Answer:
        """Send and read the answer. Raises ApiError."""
        async with self._gate.enter(prepared.flow):
            try:
                return await self._exchange(prepared)
            except _BrokenOffError as error:
                if prepared.repeatable:
                    with contextlib.suppress(_BrokenOffError):
                        return await self._exchange(prepared)
                raise ServiceUnavailableError(error.message) from error

    @asynccontextmanager
    async def stream(self, prepared: PreparedRequest, *, idle_seconds: float) -> AsyncIterator[AsyncIterator[bytes]]:
        """Send and hand out the answer in pieces; silence of `idle_seconds` ends it. Raises ApiError."""
        async with self._gate.enter(prepared.flow):
            response = await self._open(prepared, timeout_seconds=idle_seconds)
        try:
            yield self._pieces(response)
        finally:
            await response.close()

    async def close(self) -> None:
        """Close all connections; streams that are open break off."""
        retired, self._retired = self._retired, None
        connections, self._connections = self._connections, None
        for client in (retired, connections):
            if client is not None:
                await client.close()

    async def _exchange(self, prepared: PreparedRequest) -> Answer:
        response = await self._open(prepared)
        async with response:
            try:
                content = await response.read(ANSWER_LIMIT)
            except RemoteError as error:
                raise _BrokenOffError(self._unavailable(error).message) from error
        return Answer(response.status, content, response.headers.get("warning", ""))

    async def _open(self, prepared: PreparedRequest, *, timeout_seconds: float | None = None) -> Response:
        """Raises ApiError for every answer that is not a success."""
        try:
            return await self._attempt(prepared, timeout_seconds, refused=False)
        except UnauthorizedError:
            return await self._attempt(prepared, timeout_seconds, refused=True)

    async def _attempt(self, prepared: PreparedRequest, timeout_seconds: float | None, *, refused: bool) -> Response:
        credentials = await self._credentials.get(refused=refused)
        request = Request(
            prepared.method,
            f"{self._target.cluster.server}{prepared.target}",
            self._headers(prepared, credentials),
            prepared.body,
            idempotent=prepared.repeatable,
            retried=RETRIED_READING if prepared.method == "GET" else RETRIED_WRITING,
            timeout_seconds=timeout_seconds,
            attempts=prepared.attempts,
        )
        try:
            response = await (await self._connect(credentials)).send(request)
            if response.status < 300:
                return response
            async with response:
                content = await response.read(ERROR_LIMIT)
        except RemoteError as error:
            raise self._unavailable(error) from error
        raise parse_error(response.status, content)

    async def _connect(self, credentials: Credentials) -> HttpClient:
        """The connections made with this certificate."""
        current, retired = self._connections, None
        if current is None or self._certificate != credentials.certificate:
            # A plugin has brought a new certificate. What is under way over connections made with the old one may end,
            # until there is a newer one still: no stream lives as long as a certificate.
            retired, self._retired = self._retired, current
            current = self._connections = self._make_connections(credentials)
            self._certificate = credentials.certificate
        if retired is not None:
            await retired.close()
        return current

    def _make_connections(self, credentials: Credentials) -> HttpClient:
        cluster = self._target.cluster
        secure = cluster.server.startswith("https://")
        tls = create_tls_context(cluster, certificate=credentials.certificate, key=credentials.key)
        return HttpClient(
            timeout_seconds=TIMEOUT_SECONDS,
            attempts=ATTEMPTS,
            clock=self._clock,
            route=Route(tls if secure else None, cluster.tls_server_name, cluster.proxy_url),
        )

    def _headers(self, prepared: PreparedRequest, credentials: Credentials) -> Mapping[str, str | Sequence[str]]:
        headers: dict[str, str | Sequence[str]] = {"Accept": "application/json", **self._impersonation}
        if credentials.authorization:
            headers["Authorization"] = credentials.authorization
        if prepared.body:
            headers["Content-Type"] = prepared.content_type
        return headers

    async def _pieces(self, response: Response) -> AsyncIterator[bytes]:
        try:
            async for piece in response.stream():
                yield piece
        except RemoteError as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: RemoteError) -> ApiError:
        failure = ServiceUnavailableError(f"{self._target.cluster.server}: {error.message}")
        failure.hint = error.hint
        return failure


def _impersonation(user: User) -> dict[str, str | Sequence[str]]:
    """The headers by which one user acts as another."""
    headers: dict[str, str | Sequence[str]] = {}
    if user.impersonate:
        headers["Impersonate-User"] = user.impersonate
    if user.impersonate_uid:
        headers["Impersonate-Uid"] = user.impersonate_uid
    if user.impersonate_groups:
        headers["Impersonate-Group"] = user.impersonate_groups
    for name, values in user.impersonate_extra.items():
        # A header's name has no room for all of a key's characters (client-go escapes the same way).
        headers[f"Impersonate-Extra-{quote(name, safe='')}"] = values
    return headers
