"""An HTTP client with time limits and bounded retries; httpx is its engine and is imported at the first request.

A response of any status is a response; only what never became one is an error (`UnreachableError`). Redirects are not
followed here: who follows decides what a foreign host may see. A body is given as a function that opens it, so that a
retry sends it from its start.
"""

import os
import re
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from towpath.aio.backoff import Backoff
from towpath.aio.clock import Clock, SystemClock
from towpath.errors import RemoteError

if TYPE_CHECKING:
    import httpx

OpenBody = Callable[[], AsyncIterator[bytes]]

ATTEMPTS = 4
# 20: a server that asks for a longer pause gets its answer passed on to the caller, who can say so to a person.
LONGEST_RETRY_AFTER_SECONDS = 20.0
RETRIED_STATUSES = frozenset({429, 500, 502, 503, 504})
# A request that may have had an effect is sent again only if the server says it did nothing with it.
RETRIED_UNSAFE_STATUSES = frozenset({429, 503})
IDEMPOTENT_METHODS = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
_PLAIN_LOOPBACK = re.compile(r"http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?(?=[/?]|$)")
_UNTRUSTED = "the certificate is not trusted"
_LOOPBACK_MOUNTS = ("all://127.0.0.1", "all://localhost", "all://[::1]")


class UnreachableError(RemoteError):
    """No response: refused, not found, timed out, or cut off. `detail` is the cause in the words of the network."""

    def __init__(self, method: str, url: str, detail: str, *, sent: bool) -> None:
        shown = _without_query(url)
        super().__init__(f"{method} {shown} failed (Unreachable): {detail}", hint="check the address and the network")
        self.method = method
        self.url = shown
        self.detail = detail
        self.sent = sent

    @property
    def untrusted(self) -> bool:
        """Whether it is the peer's certificate that was not believed."""
        return self.detail.startswith(_UNTRUSTED)


class ResponseTooLargeError(RemoteError):
    """The peer sent more than any honest one would."""


@dataclass(frozen=True, slots=True)
class Route:
    """How a peer is reached where the address alone does not say it.

    `tls` replaces the system's trust and brings a client certificate; `server_name` is the name the peer's certificate
    must have; `proxy` is an address, and wins over the environment's.
    """

    tls: ssl.SSLContext | None = None
    server_name: str = ""
    proxy: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `body` is bytes, or a function that opens a stream of `length` bytes (None: chunked).

    `repeat=False` is for a request that must reach the peer once at most: part of its body may have had its effect.
    `idempotent` says so where the method does not, `retried` names the statuses where the usual ones do not fit, and
    `timeout_seconds` and `attempts` replace the client's for this request. A header with several values is sent several
    times.
    """

    method: str
    url: str
    headers: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    body: bytes | OpenBody = b""
    length: int | None = None
    repeat: bool = True
    idempotent: bool | None = None
    retried: frozenset[int] | None = None
    timeout_seconds: float | None = None
    attempts: int | None = None

    @property
    def is_idempotent(self) -> bool:
        """Whether sending it twice has the effect of sending it once."""
        return self.method in IDEMPOTENT_METHODS if self.idempotent is None else self.idempotent

    @property
    def retried_statuses(self) -> frozenset[int]:
        """The statuses after which it may be sent again."""
        if not self.repeat:
            return frozenset()
        if self.retried is not None:
            return self.retried
        return RETRIED_STATUSES if self.is_idempotent else RETRIED_UNSAFE_STATUSES


class Response:
    """A response whose body is still on the wire; use it as `async with`, or close it."""

    def __init__(self, method: str, response: "httpx.Response") -> None:
        self._method = method
        self._response = response
        self.status = response.status_code
        self.url = str(response.request.url)
        self.headers: Mapping[str, str] = response.headers

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The body in pieces. Raises UnreachableError when it ends early."""
        import httpx  # noqa: PLC0415 - loaded by now; at the top it would cost every command 80 ms

        try:
            # No piece size: httpx would gather pieces, and lose what it has gathered when the connection breaks.
            async for piece in self._response.aiter_raw():
                yield piece
        except httpx.HTTPError as error:
            raise UnreachableError(self._method, self.url, _describe(error), sent=True) from error

    async def read(self, limit: int) -> bytes:
        """The whole body. Raises ResponseTooLargeError above `limit` bytes, UnreachableError when it ends early."""
        content = bytearray()
        async for piece in self.stream():
            content += piece
            if len(content) > limit:
                raise ResponseTooLargeError(
                    f"{self._method} {_without_query(self.url)} failed (TooLarge): more than {limit} bytes"
                )
        return bytes(content)

    async def close(self) -> None:
        """Let go of the connection; a body that was read whole leaves it usable."""
        await self._response.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class HttpClient:
    """Sends requests over kept-alive connections; close it when done."""

    def __init__(
        self,
        *,
        timeout_seconds: float = 30.0,
        attempts: int = ATTEMPTS,
        clock: Clock | None = None,
        backoff: Backoff | None = None,
        route: Route | None = None,
    ) -> None:
        """Prepare; nothing is opened yet. `timeout_seconds` bounds each wait for the peer, not the whole transfer."""
        self._timeout_seconds = timeout_seconds
        self._attempts = attempts
        self._clock = clock or SystemClock()
        self._backoff = backoff or Backoff(initial_seconds=0.2, cap_seconds=5.0)
        self._route = route or Route()
        # One for clear text to this machine, which needs no trust store (17 ms and 1 MiB to load); one for all else.
        self._engines: dict[bool, httpx.AsyncClient] = {}

    async def send(self, request: Request) -> Response:
        """Send, again after a pause where that can help; the last response is returned whatever its status.

        Raises:
            UnreachableError: no attempt became a response.
        """
        attempts = request.attempts or self._attempts
        for attempt in range(1, attempts + 1):
            last = attempt == attempts
            try:
                response = await self._send_once(request)
            except UnreachableError as error:
                if last or (error.sent and not (request.repeat and request.is_idempotent)):
                    raise
                pause = self._backoff.delay(attempt)
            else:
                asked = _parse_retry_after(response.headers.get("retry-after", ""), self._clock.now())
                if last or response.status not in request.retried_statuses or asked > LONGEST_RETRY_AFTER_SECONDS:
                    return response
                await response.close()
                pause = max(asked, self._backoff.delay(attempt))
            await self._clock.sleep(pause)
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def close(self) -> None:
        """Close all connections."""
        engines, self._engines = self._engines, {}
        for engine in engines.values():
            await engine.aclose()

    async def _send_once(self, request: Request) -> Response:
        import httpx  # noqa: PLC0415 - at the top it would cost every command 80 ms

        engine = self._engine_for(request.url)
        headers = [
            (name, text)
            for name, value in request.headers.items()
            for text in ((value,) if isinstance(value, str) else value)
        ]
        if request.length is not None:
            headers.append(("Content-Length", str(request.length)))
        content = request.body if isinstance(request.body, bytes) else request.body()
        try:
            built = engine.build_request(
                request.method,
                request.url,
                headers=headers,
                content=content,
                timeout=self._timeout(request.timeout_seconds or self._timeout_seconds),
                extensions={"sni_hostname": self._route.server_name} if self._route.server_name else None,
            )
            return Response(request.method, await engine.send(built, stream=True))
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            # A UnicodeError: a host or a header with a character that it cannot have.
            unsent = isinstance(
                error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.InvalidURL | UnicodeError
            )
            raise UnreachableError(request.method, request.url, _describe(error), sent=not unsent) from error

    def _engine_for(self, url: str) -> "httpx.AsyncClient":
        import httpx  # noqa: PLC0415 - at the top it would cost every command 80 ms

        plain = _PLAIN_LOOPBACK.match(url) is not None and not self._route.proxy
        if plain not in self._engines:
            # Without a trust store a context trusts nobody.
            trust: ssl.SSLContext | bool = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if plain else True
            self._engines[plain] = httpx.AsyncClient(
                timeout=self._timeout(self._timeout_seconds),
                follow_redirects=False,
                verify=self._route.tls or trust,
                proxy=self._route.proxy or None,
                trust_env=not plain,
                # Unlimited: a watch holds its connection for ever, and a hundred of them must not stop a request.
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
                # A proxy of the environment is for the outside; loopback is never reached through it, unlike through
                # one that was named for this peer.
                mounts=None if self._route.proxy else dict.fromkeys(_LOOPBACK_MOUNTS),
                headers={"User-Agent": "towpath", "Accept-Encoding": "identity"},
            )
        return self._engines[plain]

    def _timeout(self, seconds: float) -> "httpx.Timeout":
        import httpx  # noqa: PLC0415 - at the top it would cost every command 80 ms

        return httpx.Timeout(seconds, connect=min(10.0, seconds))


def _parse_retry_after(value: str, now: float) -> float:
    """Seconds to wait by a `Retry-After` header, in either of its forms; 0 without a usable one."""
    if re.fullmatch(r"\d{1,9}", value.strip()):
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now) if value else 0.0
    except ValueError:
        return 0.0


def _describe(error: BaseException) -> str:
    """The cause in the words of the network; the engine's own words hide it ("All connection attempts failed")."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
            continue
        if isinstance(cause, socket.gaierror):
            return "no such host"
        if isinstance(cause, ssl.SSLError):  # its errno is OpenSSL's, which strerror would misread
            return (
                f"{_UNTRUSTED}: {cause.verify_message}"
                if isinstance(cause, ssl.SSLCertVerificationError)
                else f"TLS failed: {cause.reason or cause}"
            )
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno).lower()
        cause = cause.__cause__ or cause.__context__
    return str(error) or type(error).__name__


def _without_query(url: str) -> str:
    return url.partition("?")[0]
