"""Prove that a webhook comes from who shares our secret: over the bytes as received, in constant time. Pure.

    provider    header                   form
    github      X-Hub-Signature-256      sha256=<hex HMAC-SHA256 of the body>
    towpath     the same: our own host speaks GitHub's way
    gitea       X-Gitea-Signature        <hex HMAC-SHA256 of the body>
    forgejo     X-Forgejo-Signature      the same; X-Gitea-Signature when that is absent
    gitlab      X-Gitlab-Token           the secret itself; or, for a signing token (whsec_…),
                webhook-signature        v1,<base64 HMAC-SHA256 of id.timestamp.body> (Standard Webhooks)

Several secrets may be valid at once, so that one can be changed without losing a delivery.
"""

import base64
import binascii
import hmac
from collections.abc import Callable, Mapping, Sequence

from towpath.errors import RefusedError, UserError

# 300 s: the tolerance the Standard Webhooks specification recommends for clocks that differ.
TOLERANCE_SECONDS = 300.0
OWN_PROVIDER = "towpath"  # GitHub's form; the payload also tells when the push arrived
SIGNING_TOKEN_PREFIX = "whsec_"  # noqa: S105 - how such a token begins

Headers = Mapping[str, str]


class SignatureError(RefusedError):
    """A webhook does not prove where it comes from."""


def sign(secret: str, body: bytes) -> str:
    """The `X-Hub-Signature-256` header of a body."""
    return f"sha256={_hex(secret, body)}"


def verify(provider: str, secrets: Sequence[str], headers: Headers, body: bytes, *, now: float) -> None:
    """Accept a webhook, or refuse it.

    Args:
        provider: one of `PROVIDERS`.
        secrets: those valid at the moment; at least one.
        headers: by lower-case name.
        body: as received.
        now: wall time in seconds since the epoch, for signatures that carry a time.

    Raises:
        SignatureError: it is not signed, or not with one of the secrets, or too old.
    """
    _PROVIDERS[provider](secrets, headers, body, now)


def check_secrets(provider: str, secrets: Sequence[str]) -> None:
    """Refuse a configuration under which anybody could speak for the provider.

    Raises:
        UserError: the provider is unknown, a secret is missing, or a signing token is malformed.
    """
    if provider not in _PROVIDERS:
        raise UserError(
            f"webhook provider {provider} is not known (UnknownProvider): expected one of {', '.join(PROVIDERS)}"
        )
    if not secrets or not all(secrets):
        raise UserError(
            f"webhooks of {provider} cannot be received (NoSecret): without a secret anybody could send them",
            hint="set the same secret here and in the repository's webhook settings",
        )
    for secret in secrets:
        if secret.startswith(SIGNING_TOKEN_PREFIX):
            _signing_key(secret)


def _hex(secret: str, body: bytes) -> str:
    return hmac.digest(secret.encode(), body, "sha256").hex()


def _matches(given: str, expected: Sequence[str]) -> bool:
    # Every secret is compared, so that the time taken does not tell which one came near.
    return any([hmac.compare_digest(given.encode(), each.encode()) for each in expected])  # noqa: C419 - see above


def _verify_hex(*names: str, prefix: str = "") -> Callable[[Sequence[str], Headers, bytes, float], None]:
    def check(secrets: Sequence[str], headers: Headers, body: bytes, now: float) -> None:
        del now
        name = next((name for name in names if name in headers), None)
        if name is None:
            raise SignatureError(
                f"webhook is not signed (MissingSignature): expected the header {names[0]}",
                hint="set a secret in the repository's webhook settings",
            )
        if not _matches(headers[name].lower(), [f"{prefix}{_hex(secret, body)}" for secret in secrets]):
            raise SignatureError(
                f"webhook is not from who it says (BadSignature): {name} does not match the body",
                hint="the secret here and in the repository's webhook settings must be the same",
            )

    return check


def _verify_gitlab(secrets: Sequence[str], headers: Headers, body: bytes, now: float) -> None:
    signing = [secret for secret in secrets if secret.startswith(SIGNING_TOKEN_PREFIX)]
    plain = [secret for secret in secrets if not secret.startswith(SIGNING_TOKEN_PREFIX)]
    if signing and "webhook-signature" in headers:
        _verify_standard(signing, headers, body, now)
    elif plain and "x-gitlab-token" in headers:
        if not _matches(headers["x-gitlab-token"], plain):
            raise SignatureError(
                "webhook is not from who it says (BadSignature): x-gitlab-token is wrong",
                hint="the secret token here and in the project's webhook settings must be the same",
            )
    else:
        expected = " or ".join(["webhook-signature"] * bool(signing) + ["x-gitlab-token"] * bool(plain))
        raise SignatureError(f"webhook is not signed (MissingSignature): expected the header {expected}")


def _verify_standard(secrets: Sequence[str], headers: Headers, body: bytes, now: float) -> None:
    timestamp, message_id = headers.get("webhook-timestamp", ""), headers.get("webhook-id", "")
    if not timestamp.isdecimal() or abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        raise SignatureError(
            f"webhook is too old or from the future (BadTimestamp): {timestamp[:20] or 'none'}, "
            f"expected {int(now)} give or take {TOLERANCE_SECONDS:g} s",
            hint="compare the clocks of both machines",
        )
    signed = f"{message_id}.{timestamp}.".encode() + body
    expected = [
        f"v1,{base64.b64encode(hmac.digest(_signing_key(secret), signed, 'sha256')).decode()}" for secret in secrets
    ]
    # Several signatures, parted by spaces, while the sender changes its key.
    if not any([_matches(given, expected) for given in headers["webhook-signature"].split(" ")]):  # noqa: C419
        raise SignatureError("webhook is not from who it says (BadSignature): webhook-signature does not match")


def _signing_key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(SIGNING_TOKEN_PREFIX), validate=True)
    except binascii.Error as error:
        raise UserError("signing token is malformed (BadToken): expected whsec_ and base64") from error


_GITHUB = _verify_hex("x-hub-signature-256", prefix="sha256=")
_PROVIDERS: Mapping[str, Callable[[Sequence[str], Headers, bytes, float], None]] = {
    OWN_PROVIDER: _GITHUB,
    "github": _GITHUB,
    "gitea": _verify_hex("x-gitea-signature"),
    "forgejo": _verify_hex("x-forgejo-signature", "x-gitea-signature"),
    "gitlab": _verify_gitlab,
}
PROVIDERS = tuple(_PROVIDERS)
# The providers outside: all but our own host.
FORGES = tuple(provider for provider in PROVIDERS if provider != OWN_PROVIDER)
