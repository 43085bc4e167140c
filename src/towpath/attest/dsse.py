"""DSSE envelopes: a payload of a stated type, and signatures over exactly its bytes.

What is signed is the pre-authentication encoding of type and payload, so that no JSON has to be put into a canonical
form and nothing can be read as another type. Whoever verifies finds the signer first and parses the payload
after that, the very bytes that were signed. Keys stand behind the two protocols below; the real ones are in `keys`.
"""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from towpath.attest.errors import InvalidAttestationError

IN_TOTO = "application/vnd.in-toto+json"
# 16: more signers than any image has; each one costs a verification with every trusted key.
MOST_SIGNATURES = 16


class Signer(Protocol):
    """A private key."""

    @property
    def key_id(self) -> str:
        """Names the key; a hint for verifiers, not a proof."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The signature of these bytes."""
        ...


class Verifier(Protocol):
    """A public key."""

    @property
    def key_id(self) -> str:
        """Names the key."""
        ...

    def matches(self, signature: bytes, message: bytes) -> bool:
        """Whether this key's owner signed these bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature; `key_id` is what its maker says, and may be empty."""

    key_id: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload with its signatures, not verified yet."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """The bytes that a signature covers: `DSSEv1 <length> <type> <length> <payload>`."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(payload_type: str, payload: bytes, signers: Iterable[Signer]) -> Envelope:
    """Sign a payload with each key."""
    message = pre_authentication_encoding(payload_type, payload)
    return Envelope(payload_type, payload, tuple(Signature(key.key_id, key.sign(message)) for key in signers))


def find_signer(envelope: Envelope, trusted: Iterable[Verifier]) -> Verifier | None:
    """The first trusted key that signed the envelope; what a signature says of its key decides nothing."""
    message = pre_authentication_encoding(envelope.payload_type, envelope.payload)
    for key in trusted:
        if any(key.matches(signature.value, message) for signature in envelope.signatures):
            return key
    return None


def envelope_to_json(envelope: Envelope) -> dict[str, Any]:
    """The envelope as JSON values; a signature without a key's name has no `keyid`."""
    return {
        "payload": base64.b64encode(envelope.payload).decode(),
        "payloadType": envelope.payload_type,
        "signatures": [
            {"sig": base64.b64encode(one.value).decode(), **({"keyid": one.key_id} if one.key_id else {})}
            for one in envelope.signatures
        ],
    }


def envelope_from_json(document: Any) -> Envelope:
    """Read an envelope's JSON values. Raises InvalidAttestationError."""
    try:
        kind, payload, signatures = document["payloadType"], document["payload"], document["signatures"]
        if not isinstance(kind, str) or not isinstance(signatures, list) or len(signatures) > MOST_SIGNATURES:
            raise InvalidAttestationError("envelope is malformed (Schema): payloadType or signatures are of no use")
        found = tuple(Signature(str(one.get("keyid") or ""), _decode(one["sig"])) for one in signatures)
        return Envelope(kind, _decode(payload), found)
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidAttestationError(
            "envelope is malformed (Schema): expected payload, payloadType and signatures"
        ) from error


def _decode(text: Any) -> bytes:
    """Base64 in either alphabet: the specification asks verifiers to accept both."""
    if not isinstance(text, str):
        raise InvalidAttestationError("envelope is malformed (Encoding): expected base64 text")
    try:
        return base64.b64decode(text.translate(_TO_STANDARD), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidAttestationError(f"envelope is malformed (Encoding): not base64: {error}") from error


_TO_STANDARD = str.maketrans("-_", "+/")
