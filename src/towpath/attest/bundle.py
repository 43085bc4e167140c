"""Sigstore bundles (v0.3): the form in which cosign stores and finds signed attestations.

A bundle is an envelope and a hint which key to look for. There is no certificate and no entry of a transparency log:
the key is the user's own. Bundles of others, with certificates, can be read; whether their envelope is signed by a key
that is trusted here is all that is asked of them.
"""

from typing import Any

import orjson

from towpath.attest.dsse import Envelope, Signature, envelope_from_json, envelope_to_json
from towpath.attest.errors import InvalidAttestationError

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
CONTENT = "dev.sigstore.bundle.content"
PREDICATE_TYPE = "dev.sigstore.bundle.predicateType"
DSSE_ENVELOPE = "dsse-envelope"


def format_bundle(envelope: Envelope, *, hint: str) -> bytes:
    """An envelope with one signature as a bundle; `hint` names its key.

    The envelope's own name for the key is left out: bundles name it once, and their readers look there.
    """
    unnamed = Envelope(
        envelope.payload_type, envelope.payload, tuple(Signature("", one.value) for one in envelope.signatures)
    )
    document = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": hint}},
        "dsseEnvelope": envelope_to_json(unnamed),
    }
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def parse_bundle(raw: bytes) -> Envelope:
    """The envelope of a bundle. Raises InvalidAttestationError, also for a bundle that signs something else."""
    try:
        document: Any = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidAttestationError(f"bundle is no JSON (Syntax): {error.msg}") from error
    if not isinstance(document, dict) or "dsseEnvelope" not in document:
        raise InvalidAttestationError("bundle holds no attestation (Schema): expected dsseEnvelope")
    return envelope_from_json(document["dsseEnvelope"])
