"""Envelopes: what exactly is signed, who signed it, and what is no envelope."""

import base64
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.attest.dsse import (
    IN_TOTO,
    Envelope,
    Signature,
    envelope_from_json,
    envelope_to_json,
    find_signer,
    pre_authentication_encoding,
    sign,
)
from towpath.attest.errors import InvalidAttestationError
from towpath.attest.keys import KeyKind, PrivateKey, generate_key

KEY = generate_key(KeyKind.P256)
OTHER = generate_key(KeyKind.ED25519)


def test_the_encoding_is_the_one_of_the_specifications_example() -> None:
    # protocol.md of the DSSE specification, test vector.
    expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert pre_authentication_encoding("http://example.com/HelloWorld", b"hello world") == expected


def test_lengths_count_bytes_and_not_characters() -> None:
    assert pre_authentication_encoding("tüp", b"\xff") == b"DSSEv1 4 t\xc3\xbcp 1 \xff"


def test_the_owner_of_a_trusted_key_is_found() -> None:
    envelope = sign(IN_TOTO, b"{}", [KEY, OTHER])
    assert find_signer(envelope, [OTHER.public]) == OTHER.public
    assert find_signer(envelope, [KEY.public, OTHER.public]) == KEY.public


def test_nobody_is_found_among_keys_that_did_not_sign() -> None:
    envelope = sign(IN_TOTO, b"{}", [KEY])
    assert find_signer(envelope, [OTHER.public, generate_key(KeyKind.P256).public]) is None
    assert find_signer(envelope, []) is None


@pytest.mark.parametrize("key", [KEY, OTHER])
def test_another_payload_or_type_under_the_same_signature_is_not_signed(key: PrivateKey) -> None:
    envelope = sign(IN_TOTO, b"{}", [key])
    assert find_signer(envelope, [key.public]) is not None
    assert find_signer(replace(envelope, payload=b"{ }"), [key.public]) is None
    assert find_signer(replace(envelope, payload_type="text/plain"), [key.public]) is None


def test_the_name_that_a_signature_gives_its_key_decides_nothing() -> None:
    envelope = sign(IN_TOTO, b"{}", [KEY])
    lying = replace(envelope, signatures=(Signature(OTHER.key_id, envelope.signatures[0].value),))
    assert find_signer(lying, [OTHER.public]) is None
    assert find_signer(lying, [KEY.public]) == KEY.public


@given(st.text(max_size=20), st.binary(max_size=200), st.lists(st.binary(max_size=80), max_size=3))
def test_an_envelope_survives_its_own_format(kind: str, payload: bytes, values: list[bytes]) -> None:
    envelope = Envelope(kind, payload, tuple(Signature("", value) for value in values))
    assert envelope_from_json(json.loads(json.dumps(envelope_to_json(envelope)))) == envelope


def test_base64_of_either_alphabet_is_read() -> None:
    payload = b"\xfb\xff\xfe"
    document = {"payloadType": "x", "payload": base64.urlsafe_b64encode(payload).decode(), "signatures": []}
    assert envelope_from_json(document).payload == payload


@pytest.mark.parametrize(
    "raw",
    [
        b"[]",
        b"null",
        b"{}",
        b'{"payloadType":"x","payload":"e30=","signatures":{}}',
        b'{"payloadType":"x","payload":"e30=","signatures":["x"]}',
        b'{"payloadType":"x","payload":"e30=","signatures":[{}]}',
        b'{"payloadType":"x","payload":"e30=","signatures":[{"sig":"not base64!"}]}',
        b'{"payloadType":"x","payload":7,"signatures":[]}',
        b'{"payloadType":7,"payload":"e30=","signatures":[]}',
        json.dumps({"payloadType": "x", "payload": "", "signatures": [{"sig": ""}] * 17}),
    ],
)
def test_anything_else_is_no_envelope(raw: str | bytes) -> None:
    with pytest.raises(InvalidAttestationError):
        envelope_from_json(json.loads(raw))
