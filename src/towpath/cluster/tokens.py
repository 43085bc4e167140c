"""Service account tokens: JSON Web Tokens (RFC 7519, HS256) that only this cluster issues and only it reads.

The claims are those of Kubernetes' bound tokens, so a client that looks inside finds what it expects. Nothing is
stored: a token is good while its signature and times are, and its service account exists.
"""

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any

from towpath.aio.clock import Clock

ISSUER = "https://kubernetes.default.svc"
# An hour, as kubelet asks for; the node renews a mounted token long before.
LIFETIME_SECONDS = 3600
HEADER = {"alg": "HS256", "typ": "JWT"}


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whom a token speaks for."""

    namespace: str
    service_account: str
    service_account_uid: str
    pod: str = ""

    @property
    def user(self) -> str:
        """The user name that Roles are bound to."""
        return f"system:serviceaccount:{self.namespace}:{self.service_account}"


class ServiceAccountTokens:
    """Issues and verifies the tokens of one cluster."""

    def __init__(self, key: bytes, *, clock: Clock) -> None:
        self._key = key
        self._clock = clock

    def issue(self, bearer: Bearer, *, lifetime_seconds: int = LIFETIME_SECONDS) -> str:
        """A signed token for `bearer`."""
        now = int(self._clock.now())
        account = {"name": bearer.service_account, "uid": bearer.service_account_uid}
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": [ISSUER],
            "sub": bearer.user,
            "iat": now,
            "nbf": now,
            "exp": now + lifetime_seconds,
            "kubernetes.io": {
                "namespace": bearer.namespace,
                "serviceaccount": account,
                **({"pod": {"name": bearer.pod}} if bearer.pod else {}),
            },
        }
        signed = f"{_encode(_json(HEADER))}.{_encode(_json(claims))}"
        return f"{signed}.{_encode(self._sign(signed))}"

    def find_bearer(self, token: str) -> Bearer | None:
        """Whom a token speaks for; None if it is not one of ours, was altered, or has expired."""
        signed, _, signature = token.rpartition(".")
        try:
            given = _decode(signature)
        except (ValueError, binascii.Error):
            return None
        if not signed or not hmac.compare_digest(self._sign(signed), given):
            return None
        claims = json.loads(_decode(signed.partition(".")[2]))  # we signed it: it is well formed
        if not claims["nbf"] <= self._clock.now() < claims["exp"]:
            return None
        bound = claims["kubernetes.io"]
        account = bound["serviceaccount"]
        return Bearer(bound["namespace"], account["name"], account["uid"], bound.get("pod", {}).get("name", ""))

    def _sign(self, signed: str) -> bytes:
        return hmac.new(self._key, signed.encode(), hashlib.sha256).digest()


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
