"""Sigstore bundles: the form that cosign reads."""

import json

import pytest

from towpath.attest.bundle import MEDIA_TYPE, format_bundle, parse_bundle
from towpath.attest.dsse import IN_TOTO, find_signer, sign
from towpath.attest.errors import InvalidAttestationError
from towpath.attest.keys import KeyKind, generate_key

KEY = generate_key(KeyKind.P256)
ENVELOPE = sign(IN_TOTO, b'{"a":1}', [KEY])


def test_what_goes_in_comes_out_and_is_still_signed() -> None:
    found = parse_bundle(format_bundle(ENVELOPE, hint=KEY.public.hint))
    assert (found.payload, found.payload_type) == (ENVELOPE.payload, IN_TOTO)
    assert find_signer(found, [KEY.public]) == KEY.public


def test_the_key_is_named_once_and_in_the_place_for_it() -> None:
    document = json.loads(format_bundle(ENVELOPE, hint=KEY.public.hint))
    assert document["mediaType"] == MEDIA_TYPE
    assert document["verificationMaterial"] == {"publicKey": {"hint": KEY.public.hint}}
    assert list(document["dsseEnvelope"]["signatures"][0]) == ["sig"]


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"messageSignature":{}}', b'{"dsseEnvelope":[]}'])
def test_a_bundle_without_an_envelope_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidAttestationError):
        parse_bundle(raw)
