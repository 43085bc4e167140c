"""Signed tokens: what the token endpoint gives for a secret, so that the secret is not sent with every request.

A token is `<payload>.<signature>`, both base64url; the payload is JSON (`sub`, `exp`, `scopes`), the signature
HMAC-SHA256 under a key of this process. It names scopes; what the account may do is looked up again at each request.
"""

import base64
import binascii
import hmac
from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from towpath.aio.clock import Clock
from towpath.oci.challenge import Scope

# Ten minutes: longer than any pause within a push; a token is checked when a request begins, so a slow upload is safe.
TOKEN_SECONDS = 600


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """What a valid token says."""

    account: str
    scopes: tuple[Scope, ...]


class ExpiredTokenError(Exception):
    """Internal: the token was valid once."""


class TokenSigner:
    """Makes and reads tokens."""

    def __init__(self, *, key: bytes, clock: Clock) -> None:
        """`key` is random and at least 32 bytes."""
        self._key = key
        self._clock = clock

    def sign(self, account: str, scopes: Iterable[Scope]) -> str:
        """A token that is valid for `TOKEN_SECONDS`."""
        expires = int(self._clock.now()) + TOKEN_SECONDS
        payload = orjson.dumps({"sub": account, "exp": expires, "scopes": [str(scope) for scope in scopes]})
        return f"{_encode(payload)}.{_encode(self._signature(payload))}"

    def read(self, token: str) -> TokenClaims | None:
        """What a token says; None when it was not made here. Raises ExpiredTokenError."""
        encoded, _, signature = token.partition(".")
        try:
            payload = _decode(encoded)
            if not hmac.compare_digest(_decode(signature), self._signature(payload)):
                return None
        except (binascii.Error, ValueError):
            return None
        claims = orjson.loads(payload)
        if self._clock.now() >= claims["exp"]:
            raise ExpiredTokenError
        return TokenClaims(claims["sub"], tuple(Scope.parse(scope) for scope in claims["scopes"]))

    def _signature(self, payload: bytes) -> bytes:
        return hmac.digest(self._key, payload, "sha256")


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
