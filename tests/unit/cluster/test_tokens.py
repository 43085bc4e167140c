"""Service account tokens: ours, unaltered, and in time."""

import base64
import json

import pytest

from fakes.clock import VirtualClock
from towpath.cluster.tokens import LIFETIME_SECONDS, Bearer, ServiceAccountTokens

BEARER = Bearer("dev", "chaos", "uid-1", "chaos-0")


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def tokens(clock: VirtualClock) -> ServiceAccountTokens:
    return ServiceAccountTokens(b"key", clock=clock)


def test_a_token_speaks_for_whom_it_was_issued(tokens: ServiceAccountTokens) -> None:
    assert tokens.find_bearer(tokens.issue(BEARER)) == BEARER
    assert BEARER.user == "system:serviceaccount:dev:chaos"


async def test_a_token_ends(tokens: ServiceAccountTokens, clock: VirtualClock) -> None:
    token = tokens.issue(BEARER)
    await clock.advance(LIFETIME_SECONDS - 1)
    assert tokens.find_bearer(token) == BEARER
    await clock.advance(1)
    assert tokens.find_bearer(token) is None


def test_another_key_does_not_open(tokens: ServiceAccountTokens, clock: VirtualClock) -> None:
    other = ServiceAccountTokens(b"another", clock=clock)

    assert other.find_bearer(tokens.issue(BEARER)) is None


def test_an_altered_claim_breaks_the_signature(tokens: ServiceAccountTokens) -> None:
    header, claims, signature = tokens.issue(BEARER).split(".")
    document = json.loads(base64.urlsafe_b64decode(claims + "=="))
    document["kubernetes.io"]["namespace"] = "kube-system"
    forged = base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()

    assert tokens.find_bearer(f"{header}.{forged}.{signature}") is None


@pytest.mark.parametrize("text", ["", "a", "a.b", "a.b.c", "..", "ü.ü.ü", "a.b.=====", "." * 100])
def test_rubbish_speaks_for_nobody(tokens: ServiceAccountTokens, text: str) -> None:
    assert tokens.find_bearer(text) is None


def test_the_claims_are_those_of_a_bound_token(tokens: ServiceAccountTokens) -> None:
    claims = json.loads(base64.urlsafe_b64decode(tokens.issue(BEARER).split(".")[1] + "=="))

    assert claims["sub"] == "system:serviceaccount:dev:chaos"
    assert claims["kubernetes.io"]["pod"] == {"name": "chaos-0"}
