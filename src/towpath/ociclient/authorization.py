"""The token flow of registries: challenge, token request, `Authorization` header.

1. A request without a valid token is answered by a challenge.
2. `Basic`: the credentials go with each request. `Bearer`: they go to the realm, which gives a token for scopes.
3. The next request of the same scopes takes the remembered token, and the remembered challenge spares step 1.

Requests at the same time share both: the first one to a registry goes alone until it is answered, and of those that
need one token, one fetches it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit
from weakref import WeakValueDictionary

import orjson

from towpath.aio.clock import Clock
from towpath.http.client import HttpClient, Request, ResponseTooLargeError, UnreachableError
from towpath.http.credentials import format_basic
from towpath.oci.challenge import Challenge, Scope, parse_challenges
from towpath.oci.errors import parse_errors
from towpath.oci.keyring import Credential
from towpath.ociclient.errors import Failure, PullCause, describe_unreachable, format_entries

# 60: what the token specification assumes when the server does not say.
DEFAULT_TOKEN_SECONDS = 60
# A token is dropped this early, so that it does not expire between here and the registry.
MARGIN_SECONDS = 10
TOKEN_RESPONSE_LIMIT = 256 * 1024
REMEMBERED_TOKENS = 512


class TokenFailureError(Exception):
    """Internal: no token. The session turns it into the error of its operation."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class _TokenKey:
    registry: str
    credential: Credential | None
    scopes: tuple[str, ...]


class Authorizer:
    """Remembers challenges and tokens of all registries it has met."""

    def __init__(self, http: HttpClient, *, plain_http: Callable[[str], bool], clock: Clock) -> None:
        self._http = http
        self._plain_http = plain_http
        self._clock = clock
        self._challenges: dict[str, Challenge] = {}
        self._tokens: dict[_TokenKey, tuple[str, float]] = {}
        # Held by those who fetch a token or wait for it; gone with the last of them.
        self._fetching: WeakValueDictionary[_TokenKey, asyncio.Lock] = WeakValueDictionary()
        self._met: dict[str, asyncio.Event] = {}

    @asynccontextmanager
    async def introduction(self, registry: str) -> AsyncIterator[None]:
        """Around a request up to its answer: the first one to a registry goes alone, and learns for all the others.

        Only the first: when it fails, the others find out for themselves, side by side.
        """
        met = self._met.get(registry)
        if met is not None:
            await met.wait()
            yield
            return
        met = self._met[registry] = asyncio.Event()
        try:
            yield
        finally:
            met.set()

    def learn(self, registry: str, header: str) -> None:
        """Remember how a registry wants to be asked, from its `WWW-Authenticate` header."""
        challenges = {challenge.scheme: challenge for challenge in parse_challenges(header)}
        chosen = challenges.get("bearer") or challenges.get("basic")
        if chosen:
            self._challenges[registry] = chosen

    def forget(self, registry: str, credential: Credential | None, scopes: Iterable[Scope]) -> None:
        """Drop a token that the registry did not take."""
        self._tokens.pop(self._key(registry, credential, scopes), None)

    async def authorize(self, registry: str, credential: Credential | None, scopes: Iterable[Scope]) -> str:
        """The `Authorization` header to send; empty when the registry has not asked for one.

        Raises:
            TokenFailureError: the token server refused or failed.
        """
        challenge = self._challenges.get(registry)
        if challenge is None:
            return ""
        if challenge.scheme == "basic":
            return format_basic(credential.username, credential.password) if credential else ""
        key = self._key(registry, credential, scopes)
        token = self._remembered(key)
        if not token:
            lock = self._fetching.get(key) or asyncio.Lock()
            self._fetching[key] = lock
            async with lock:
                token = self._remembered(key) or await self._renew(key, challenge)
        return f"Bearer {token}"

    def _remembered(self, key: _TokenKey) -> str:
        token, expires = self._tokens.get(key, ("", 0.0))
        return token if self._clock.monotonic() < expires else ""

    async def _renew(self, key: _TokenKey, challenge: Challenge) -> str:
        token, lifetime = await self._fetch(key, challenge)
        if len(self._tokens) >= REMEMBERED_TOKENS:
            self._tokens.pop(next(iter(self._tokens)))
        self._tokens[key] = (token, self._clock.monotonic() + max(lifetime - MARGIN_SECONDS, lifetime / 2))
        return token

    def _key(self, registry: str, credential: Credential | None, scopes: Iterable[Scope]) -> _TokenKey:
        return _TokenKey(registry, credential, tuple(sorted(map(str, scopes))))

    async def _fetch(self, key: _TokenKey, challenge: Challenge) -> tuple[str, float]:
        """A token and its lifetime in seconds."""
        realm = challenge.parameters.get("realm", "")
        anonymous = key.credential is None
        self._check_realm(key.registry, realm, anonymous=anonymous)
        query = [("service", service)] if (service := challenge.parameters.get("service")) else []
        query += [("scope", scope) for scope in key.scopes]
        url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}"
        credential = key.credential
        headers = {"Authorization": format_basic(credential.username, credential.password)} if credential else {}
        try:
            async with await self._http.send(Request("GET", url, headers)) as response:
                body = await response.read(TOKEN_RESPONSE_LIMIT)
                status = response.status
        except UnreachableError as error:
            raise TokenFailureError(describe_unreachable(error)) from error
        except ResponseTooLargeError as error:
            raise TokenFailureError(Failure(PullCause.SERVER_ERROR, error.message, url=realm)) from error
        if status >= 400:
            cause = PullCause.TOKEN_REFUSED if status < 500 else PullCause.SERVER_ERROR
            who = "anonymous" if credential is None else f"user {credential.username!r}"
            detail = f"the token server refused {who}: {format_entries(status, parse_errors(body))}"
            raise TokenFailureError(Failure(cause, detail, status, realm, "GET", anonymous=anonymous))
        return _read_token(body, realm)

    def _check_realm(self, registry: str, realm: str, *, anonymous: bool) -> None:
        parts = urlsplit(realm)
        if parts.scheme == "https" and parts.netloc:
            return
        # Only a registry that is itself asked in clear text may name such a server: one on the network must not make
        # this client ask the services on this machine's loopback.
        plain = self._plain_http(registry) and self._plain_http(parts.netloc)
        if parts.scheme == "http" and parts.netloc and plain:
            return
        # A registry must not be able to make this client shout a password across the network.
        detail = f"the registry names a token server that is not safe to ask: {realm[:128]!r}"
        raise TokenFailureError(Failure(PullCause.TOKEN_REFUSED, detail, 0, realm, "GET", anonymous=anonymous))


def _read_token(body: bytes, realm: str) -> tuple[str, float]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    if isinstance(document, dict):
        token = document.get("token") or document.get("access_token")
        lifetime = document.get("expires_in") or DEFAULT_TOKEN_SECONDS
        if isinstance(token, str) and token.isprintable() and isinstance(lifetime, int | float):
            return token, float(lifetime)
    raise TokenFailureError(Failure(PullCause.SERVER_ERROR, "the token server answered without a token", 200, realm))
