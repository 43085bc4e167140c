"""Signed tokens: what the token endpoint gives for a secret, so that the secret is not sent with every request.

A token is `<payload>.<signature>`, both base64url; the payload is JSON (`sub`, `sid`, `exp`, `use`, `scopes`), the
signature HMAC-SHA256. It names scopes, and the secret it was made for (by id): what the account may do, and whether it
still has that secret, is looked up again at each request, so that revoking a secret ends its tokens.
"""

import base64
import binascii
import hmac
from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from towpath.aio.clock import Clock
from towpath.oci.challenge import Scope
from towpath.registry.accounts import Login

# Ten minutes: longer than any pause within a push; a token is checked when a request begins, so a slow upload is safe.
TOKEN_SECONDS = 600
# Ninety days: `docker login` keeps a refresh token instead of the password; it ends with its secret, if that is sooner.
REFRESH_SECONDS = 90 * 86_400
ACCESS = "access"
REFRESH = "refresh"


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """What a valid token says."""

    account: str
    secret_id: str
    scopes: tuple[Scope, ...]


class ExpiredTokenError(Exception):
    """Internal: the token was valid once."""


class TokenSigner:
    """Makes and reads tokens."""

    def __init__(self, *, key: bytes, clock: Clock) -> None:
        """`key` is random and at least 32 bytes."""
        self._key = key
        self._clock = clock

    def sign(self, login: Login, scopes: Iterable[Scope]) -> str:
        """A token for requests, valid for `TOKEN_SECONDS`."""
        return self._sign(login, ACCESS, TOKEN_SECONDS, scopes)

    def sign_refresh(self, login: Login) -> str:
        """A token that opens the token endpoint only, valid for `REFRESH_SECONDS`."""
        return self._sign(login, REFRESH, REFRESH_SECONDS, ())

    def read(self, token: str, *, use: str = ACCESS) -> TokenClaims | None:
        """What a token says; None when it was not made here, or for another use. Raises ExpiredTokenError."""
        encoded, _, signature = token.partition(".")
        try:
            payload = _decode(encoded)
            if not hmac.compare_digest(_decode(signature), self._signature(payload)):
                return None
        except (binascii.Error, ValueError):
            return None
        claims = orjson.loads(payload)
        if claims["use"] != use:
            return None
        if self._clock.now() >= claims["exp"]:
            raise ExpiredTokenError
        return TokenClaims(claims["sub"], claims["sid"], tuple(Scope.parse(scope) for scope in claims["scopes"]))

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
