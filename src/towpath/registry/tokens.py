"""Signed tokens: what the token endpoint gives for a secret, so that the secret is not sent with every request.

A token is `<payload>.<signature>`, both base64url; the payload is JSON (`sub`, `sid`, `exp`, `use`, `scopes`), the
signature HMAC-SHA256. It names scopes, and the secret it was made for (by id): what the account may do, and whether it
still has that secret, is looked up again at each request, so that revoking a secret ends its tokens.
"""

import base64
import binascii
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field

import orjson

from towpath.aio.clock import Clock
from towpath.oci.challenge import Scope
from towpath.registry.accounts import Login

# Ten minutes: longer than any pause within a push; a token is checked when a request begins, so a slow upload is safe.
TOKEN_SECONDS = 600
# Ninety days: `docker login` keeps a refresh token instead of the password; it ends with its secret, if that is sooner.
REFRESH_SECONDS = 90 * 86_400
# 1024: a client sends its token with each request of a push or a pull; some 500 KiB at most.
REMEMBERED = 1024
ACCESS = "access"
REFRESH = "refresh"


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """What a registry signs tokens with, and where clients get them.

    Attributes:
        key: signs them; random when empty, so that a restart makes clients ask again.
        external_url: where clients reach the registry behind a proxy that ends TLS; empty for where they reach it.
    """

    key: bytes = field(default=b"", repr=False)
    external_url: str = ""


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """What a valid token says."""

    account: str
    secret_id: str
    scopes: tuple[Scope, ...]


@dataclass(frozen=True, slots=True)
class _Statement:
    """A token whose signature was found good, which does not change; `expires_at` is wall time."""

    claims: TokenClaims
    use: str
    expires_at: float


class ExpiredTokenError(Exception):
    """Internal: the token of this account was valid once."""

    def __init__(self, account: str) -> None:
        super().__init__(account)
        self.account = account


class TokenSigner:
    """Makes and reads tokens."""

    def __init__(self, *, key: bytes, clock: Clock) -> None:
        """`key` is random and at least 32 bytes."""
        self._key = key
        self._clock = clock
        self._known: dict[str, _Statement] = {}

    def sign(self, login: Login, scopes: Iterable[Scope]) -> str:
        """A token for requests, valid for `TOKEN_SECONDS`."""
        return self._sign(login, ACCESS, TOKEN_SECONDS, scopes)

    def sign_refresh(self, login: Login) -> str:
        """A token that opens the token endpoint only, valid for `REFRESH_SECONDS`."""
        return self._sign(login, REFRESH, REFRESH_SECONDS, ())

    def read(self, token: str, *, use: str = ACCESS) -> TokenClaims | None:
        """What a token says; None when it was not made here, or for another use. Raises ExpiredTokenError."""
        statement = self._known.get(token) or self._verify(token)
        if statement is None or statement.use != use:
            return None
        if self._clock.now() >= statement.expires_at:
            raise ExpiredTokenError(statement.claims.account)
        return statement.claims

    def _verify(self, token: str) -> "_Statement | None":
        encoded, _, signature = token.partition(".")
        try:
            payload = _decode(encoded)
            if not hmac.compare_digest(_decode(signature), self._signature(payload)):
                return None
        except (binascii.Error, ValueError):
            return None
        said = orjson.loads(payload)
        claims = TokenClaims(said["sub"], said["sid"], tuple(Scope.parse(scope) for scope in said["scopes"]))
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[token] = statement = _Statement(claims, said["use"], said["exp"])
        return statement

    def _sign(self, login: Login, use: str, seconds: int, scopes: Iterable[Scope]) -> str:
        claims = {
            "sub": login.account.name,
            "sid": login.secret_id,
            "use": use,
            "exp": int(self._clock.now()) + seconds,
            "scopes": [str(scope) for scope in scopes],
        }
        payload = orjson.dumps(claims)
        return f"{_encode(payload)}.{_encode(self._signature(payload))}"

    def _signature(self, payload: bytes) -> bytes:
        return hmac.digest(self._key, payload, "sha256")


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
