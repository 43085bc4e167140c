import pytest

from towpath.errors import UserError
from towpath.source.signatures import PROVIDERS, SignatureError, check_secrets, sign, verify

# The example of GitHub's page "Validating webhook deliveries".
GITHUB_SECRET = "It's a Secret to Everybody"
GITHUB_BODY = b"Hello, World!"
GITHUB_SIGNATURE = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

# The example of the Standard Webhooks specification, which GitLab's signing tokens follow.
STANDARD_SECRET = "whsec_plJ3nmyCDGBKInavdOK15jsl"
STANDARD_BODY = b'{"event_type":"ping","data":{"success":true}}'
STANDARD_HEADERS = {
    "webhook-id": "msg_loFOjxBNrRLzqYUf",
    "webhook-timestamp": "1731705121",
    "webhook-signature": "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
}
STANDARD_TIME = 1731705121.0


def test_githubs_example_is_signed_and_verified() -> None:
    assert sign(GITHUB_SECRET, GITHUB_BODY) == GITHUB_SIGNATURE
    verify("github", [GITHUB_SECRET], {"x-hub-signature-256": GITHUB_SIGNATURE}, GITHUB_BODY, now=0)


@pytest.mark.parametrize(
    ("provider", "headers"),
    [
        ("towpath", {"x-hub-signature-256": GITHUB_SIGNATURE}),
        ("gitea", {"x-gitea-signature": GITHUB_SIGNATURE[7:]}),
        ("forgejo", {"x-forgejo-signature": GITHUB_SIGNATURE[7:]}),
        ("forgejo", {"x-gitea-signature": GITHUB_SIGNATURE[7:].upper()}),
        ("gitlab", {"x-gitlab-token": GITHUB_SECRET}),
    ],
)
def test_each_forge_is_verified_by_its_own_header(provider: str, headers: dict[str, str]) -> None:
    verify(provider, [GITHUB_SECRET], headers, GITHUB_BODY, now=0)
    verify(provider, ["new", GITHUB_SECRET], headers, GITHUB_BODY, now=0)
    with pytest.raises(SignatureError, match="BadSignature"):
        verify(provider, ["another"], headers, GITHUB_BODY, now=0)


@pytest.mark.parametrize("body", [b"", b"Hello, World", b"Hello, World!\n", b"hello, World!"])
def test_a_body_that_differs_by_one_byte_is_refused(body: bytes) -> None:
    with pytest.raises(SignatureError, match=r"BadSignature.*: x-hub-signature-256 does not match the body"):
        verify("github", [GITHUB_SECRET], {"x-hub-signature-256": GITHUB_SIGNATURE}, body, now=0)


@pytest.mark.parametrize(
    "signature", ["", GITHUB_SIGNATURE[7:], "sha1=" + GITHUB_SIGNATURE[7:], GITHUB_SIGNATURE[:-1], "sha256=", "é"]
)
def test_a_signature_of_another_form_is_refused(signature: str) -> None:
    with pytest.raises(SignatureError, match="BadSignature"):
        verify("github", [GITHUB_SECRET], {"x-hub-signature-256": signature}, GITHUB_BODY, now=0)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_no_signature_is_refused_and_the_missing_header_named(provider: str) -> None:
    with pytest.raises(SignatureError, match=r"MissingSignature\): expected the header x-"):
        verify(provider, ["secret"], {"x-hub-signature": "sha1=00"}, b"", now=0)


def test_the_header_of_one_forge_does_not_serve_for_another() -> None:
    with pytest.raises(SignatureError, match="MissingSignature"):
        verify("github", [GITHUB_SECRET], {"x-gitlab-token": GITHUB_SECRET}, GITHUB_BODY, now=0)


def test_a_bad_forgejo_signature_is_not_rescued_by_a_good_gitea_one() -> None:
    headers = {"x-forgejo-signature": "00", "x-gitea-signature": GITHUB_SIGNATURE[7:]}
    with pytest.raises(SignatureError, match="BadSignature"):
        verify("forgejo", [GITHUB_SECRET], headers, GITHUB_BODY, now=0)


def test_the_standards_example_is_verified_for_gitlabs_signing_tokens() -> None:
    verify("gitlab", [STANDARD_SECRET], STANDARD_HEADERS, STANDARD_BODY, now=STANDARD_TIME)
    two = {**STANDARD_HEADERS, "webhook-signature": "v1,AAAA " + STANDARD_HEADERS["webhook-signature"]}
    verify("gitlab", [STANDARD_SECRET], two, STANDARD_BODY, now=STANDARD_TIME + 299)


@pytest.mark.parametrize(
    "change", [{"webhook-id": "msg_other"}, {"webhook-signature": "v1,AAAA"}, {"webhook-timestamp": "1731705122"}]
)
def test_a_signing_token_covers_id_time_and_body(change: dict[str, str]) -> None:
    with pytest.raises(SignatureError, match="BadSignature"):
        verify("gitlab", [STANDARD_SECRET], {**STANDARD_HEADERS, **change}, STANDARD_BODY, now=STANDARD_TIME)
    with pytest.raises(SignatureError, match="BadSignature"):
        verify("gitlab", [STANDARD_SECRET], STANDARD_HEADERS, STANDARD_BODY + b" ", now=STANDARD_TIME)


@pytest.mark.parametrize("now", [STANDARD_TIME + 301, STANDARD_TIME - 301])
def test_an_old_or_future_timestamp_is_refused(now: float) -> None:
    with pytest.raises(SignatureError, match="BadTimestamp"):
        verify("gitlab", [STANDARD_SECRET], STANDARD_HEADERS, STANDARD_BODY, now=now)


def test_a_signing_token_cannot_be_passed_by_as_a_plain_one() -> None:
    with pytest.raises(SignatureError, match="MissingSignature"):
        verify("gitlab", [STANDARD_SECRET], {"x-gitlab-token": STANDARD_SECRET}, STANDARD_BODY, now=STANDARD_TIME)


@pytest.mark.parametrize(
    ("provider", "secrets", "reason"),
    [
        ("github", [], "NoSecret"),
        ("github", ["a", ""], "NoSecret"),
        ("bitbucket", ["a"], "UnknownProvider"),
        ("gitlab", ["whsec_!"], "BadToken"),
    ],
)
def test_a_configuration_that_lets_anybody_in_is_refused(provider: str, secrets: list[str], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        check_secrets(provider, secrets)
