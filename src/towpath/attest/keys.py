"""Keys that sign attestations: ECDSA P-256 (what cosign makes and takes) and Ed25519, as PEM.

Signatures are deterministic where the cryptographic library can make them so (RFC 6979; Ed25519 always): attesting the
same image twice gives the same bytes, and a second push sends nothing. A key is named by the SHA-256 of its public half
(SubjectPublicKeyInfo), which is also the hint that Sigstore bundles carry.
"""

import base64
import hashlib
from dataclasses import dataclass
from enum import StrEnum

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from towpath.attest.errors import KeyFileError

_SUPPORTED = "an ECDSA P-256 or Ed25519 key"
_PEM_END = b"-----END"


class KeyKind(StrEnum):
    """The kinds of keys that can be made."""

    P256 = "ecdsa-p256"
    ED25519 = "ed25519"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that verifies."""

    _key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

    @property
    def key_id(self) -> str:
        """The SHA-256 of the key's standard form, in hexadecimal."""
        return hashlib.sha256(self._encoded()).hexdigest()

    @property
    def hint(self) -> str:
        """The same as Sigstore bundles spell it."""
        return base64.b64encode(hashlib.sha256(self._encoded()).digest()).decode()

    @property
    def kind(self) -> KeyKind:
        """What kind of key it is."""
        return KeyKind.ED25519 if isinstance(self._key, ed25519.Ed25519PublicKey) else KeyKind.P256

    def matches(self, signature: bytes, message: bytes) -> bool:
        """Whether this key's owner signed these bytes."""
        try:
            if isinstance(self._key, ed25519.Ed25519PublicKey):
                self._key.verify(signature, message)
            else:
                self._key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True

    def to_pem(self) -> bytes:
        """The key as PEM."""
        return self._key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def _encoded(self) -> bytes:
        return self._key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A key that signs; it never shows in a representation."""

    _key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

    def __repr__(self) -> str:
        return f"PrivateKey({self.key_id[:12]}…)"

    @property
    def public(self) -> PublicKey:
        """The half that may be given away."""
        return PublicKey(self._key.public_key())

    @property
    def key_id(self) -> str:
        """The name of the pair."""
        return self.public.key_id

    def sign(self, message: bytes) -> bytes:
        """The signature of these bytes."""
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(message)
        try:
            return self._key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        except (UnsupportedAlgorithm, TypeError):  # an OpenSSL, or a library, from before RFC 6979
            return self._key.sign(message, ec.ECDSA(hashes.SHA256()))

    def to_pem(self, password: bytes | None) -> bytes:
        """The key as PEM (PKCS 8), encrypted if there is a password."""
        encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        return self._key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def generate_key(kind: KeyKind) -> PrivateKey:
    """A new key, from the operating system's randomness."""
    if kind is KeyKind.ED25519:
        return PrivateKey(ed25519.Ed25519PrivateKey.generate())
    return PrivateKey(ec.generate_private_key(ec.SECP256R1()))


def parse_private_key(pem: bytes, *, name: str, password: bytes | None = None) -> PrivateKey:
    """Read a private key.

    Args:
        pem: its PEM.
        name: what to call it in errors: its file.
        password: None when it has none.

    Raises:
        KeyFileError: no key, a wrong password, a missing one, or a key of another kind.
    """
    encrypted = b"ENCRYPTED" in pem
    if encrypted and not password:
        raise KeyFileError(
            f"key {name} cannot be read (PasswordMissing): it is encrypted and no password was given",
            hint="set TOWPATH_KEY_PASSWORD, or TOWPATH_KEY_PASSWORD_FILE to a file that holds it",
        )
    try:
        key = serialization.load_pem_private_key(pem, password if encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        wrong = "the password is wrong, or the file damaged" if encrypted else "it is no PEM private key"
        raise KeyFileError(
            f"key {name} cannot be read (KeyUnreadable): {wrong}", hint=f"give {_SUPPORTED}; towpath keys create"
        ) from error
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return PrivateKey(key)
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return PrivateKey(key)
    raise _unsupported(name)


def parse_public_keys(pem: bytes, *, name: str) -> tuple[PublicKey, ...]:
    """Read all public keys of a file, one after the other as while a key is being replaced.

    Raises:
        KeyFileError: there is none, or one of another kind.
    """
    if b"PRIVATE KEY" in pem:
        raise KeyFileError(
            f"key {name} is a private key (WrongHalf): verification needs the public one",
            hint="give the .pub file that stands beside it",
        )
    blocks = [block + _PEM_END + end for block, end in _blocks(pem)]
    if not blocks:
        raise KeyFileError(f"key {name} cannot be read (KeyUnreadable): it is no PEM public key")
    return tuple(_parse_public_key(block, name) for block in blocks)


def _blocks(pem: bytes) -> list[tuple[bytes, bytes]]:
    pieces = pem.split(_PEM_END)
    ends = [piece.split(b"\n", 1)[0] + b"\n" for piece in pieces[1:]]
    return list(zip([b"-----BEGIN" + piece.rpartition(b"-----BEGIN")[2] for piece in pieces[:-1]], ends, strict=True))


def _parse_public_key(pem: bytes, name: str) -> PublicKey:
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"key {name} cannot be read (KeyUnreadable): it is no PEM public key") from error
    if isinstance(key, ed25519.Ed25519PublicKey):
        return PublicKey(key)
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return PublicKey(key)
    raise _unsupported(name)


def _unsupported(name: str) -> KeyFileError:
    return KeyFileError(
        f"key {name} cannot be used (KeyKind): expected {_SUPPORTED}", hint="make one with towpath keys create"
    )
