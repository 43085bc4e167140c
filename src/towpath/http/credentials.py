"""Credentials on the wire and at rest: the `Authorization` header, secrets as salted hashes, and their fast check.

Checking a hash is slow on purpose (about 0.1 s), so a secret that was right once is remembered under a key that lives
and dies with the process; the memory holds keyed digests only, never a secret. PBKDF2 and not scrypt: the 16 MiB of one
scrypt check would stay with the process for ever.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass, field

_KIND = "pbkdf2-sha256"
# OWASP's figure for PBKDF2 with HMAC-SHA-256.
ITERATIONS = 600_000
REMEMBERED_SECRETS = 256


@dataclass(frozen=True, slots=True)
class BasicCredentials:
    """A user name and a password as a client sent them; the password never shows in a representation."""

    username: str
    password: str = field(repr=False)


def parse_basic(header: str) -> BasicCredentials | None:
    """The credentials of a `Basic` authorization header; None for any other or a malformed one."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        username, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return BasicCredentials(username, password) if colon else None


def format_basic(username: str, password: str) -> str:
    """The `Authorization` header of these credentials."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def parse_bearer(header: str) -> str | None:
    """The token of a `Bearer` authorization header; None for any other."""
    scheme, _, token = header.partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def equals_secret(given: str, expected: str) -> bool:
    """Compare in a time that does not tell how much of the secret was right."""
    return hmac.compare_digest(given.encode(), expected.encode())


def hash_secret(secret: str, *, salt: bytes, iterations: int = ITERATIONS) -> str:
    """What to store instead of a secret: `pbkdf2-sha256$<iterations>$<salt>$<hash>`. `salt` is random, 16 bytes."""
    return f"{_KIND}${iterations}${salt.hex()}${_derive(secret, salt, iterations).hex()}"


def check_secret(secret: str, stored: str) -> bool:
    """Whether `stored` is a hash of this secret. Slow on purpose; a malformed hash matches nothing."""
    try:
        kind, iterations, salt, expected = stored.split("$")
        derived = _derive(secret, bytes.fromhex(salt), int(iterations))
    except (ValueError, OverflowError):
        return False
    return kind == _KIND and hmac.compare_digest(derived.hex(), expected)


class SecretChecker:
    """Checks secrets off the event loop, one at a time, and remembers which were right."""

    def __init__(self, *, key: bytes) -> None:
        """`key` is random and at least 16 bytes; it protects what is remembered."""
        self._key = key
        self._right: dict[bytes, None] = {}
        # One at a time: a flood of wrong passwords must not take every core.
        self._lock = asyncio.Lock()

    async def check(self, secret: str, stored: str) -> bool:
        """Whether `stored` is a hash of this secret."""
        fingerprint = hmac.digest(self._key, f"{stored}\0{secret}".encode(), "sha256")
        if fingerprint in self._right:
            return True
        async with self._lock:
            right = await asyncio.to_thread(check_secret, secret, stored)
        if right:
            if len(self._right) >= REMEMBERED_SECRETS:
                self._right.pop(next(iter(self._right)))
            self._right[fingerprint] = None
        return right


def _derive(secret: str, salt: bytes, iterations: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", secret.encode(), salt, iterations)
