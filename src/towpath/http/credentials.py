"""Credentials on the wire and at rest: the `Authorization` header, secrets as salted hashes, and their fast check.

Checking a scrypt hash is slow on purpose (about 50 ms), so a secret that was right once is remembered under a key that
lives and dies with the process; the memory holds keyed digests only, never a secret.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass, field

# scrypt's parameters for interactive use (RFC 7914): 16 MiB and about 50 ms a check.
_COST = 2**14
_BLOCK_SIZE = 8
_PARALLEL = 1
_KEY_LENGTH = 32
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


def hash_secret(secret: str, *, salt: bytes) -> str:
    """What to store instead of a secret: `scrypt$<salt>$<hash>`, both in hexadecimal. `salt` is random, 16 bytes."""
    return f"scrypt${salt.hex()}${_derive(secret, salt).hex()}"


def check_secret(secret: str, stored: str) -> bool:
    """Whether `stored` is a hash of this secret. Slow on purpose; a malformed hash matches nothing."""
    kind, _, rest = stored.partition("$")
    salt, _, expected = rest.partition("$")
    try:
        return kind == "scrypt" and hmac.compare_digest(_derive(secret, bytes.fromhex(salt)).hex(), expected)
    except ValueError:
        return False


class SecretChecker:
    """Checks secrets off the event loop, one at a time, and remembers which were right."""

    def __init__(self, *, key: bytes) -> None:
        """`key` is random and at least 16 bytes; it protects what is remembered."""
        self._key = key
        self._right: dict[bytes, None] = {}
        # One at a time: each check takes 16 MiB, and a flood of wrong passwords must not take the machine.
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


def _derive(secret: str, salt: bytes) -> bytes:
    return hashlib.scrypt(secret.encode(), salt=salt, n=_COST, r=_BLOCK_SIZE, p=_PARALLEL, dklen=_KEY_LENGTH)
