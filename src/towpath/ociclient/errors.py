"""Why a registry did not do what it was asked, in the registry's words and in a kubelet's.

`PullError.containerd_text` gives the texts of containerd, which people search for and tools match on: containerd hides
the registry's error code, so a missing tag and a missing repository read the same.
"""

from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import ClassVar
from urllib.parse import urlsplit

from towpath.errors import ConflictError, IntegrityError, RemoteError
from towpath.http.client import UnreachableError
from towpath.oci.errors import ErrorEntry
from towpath.oci.reference import Reference


class PullCause(StrEnum):
    """What stood in the way."""

    NOT_FOUND = "NotFound"
    TOKEN_REFUSED = "TokenRefused"  # noqa: S105 - a cause, not a password
    ACCESS_DENIED = "AccessDenied"
    FORBIDDEN = "Forbidden"
    RATE_LIMITED = "RateLimited"
    SERVER_ERROR = "ServerError"
    UNREACHABLE = "Unreachable"
    CONTENT_MISSING = "ContentMissing"
    NO_PLATFORM = "NoPlatform"
    INVALID_CONTENT = "InvalidContent"


_HINTS = {
    PullCause.NOT_FOUND: "check the repository and the tag; `sha-` tags have the first seven digits of the commit",
    PullCause.TOKEN_REFUSED: "check user name and password of the pull secret, and that its key is this registry",
    PullCause.ACCESS_DENIED: "the credentials are known but not for this repository: widen their grant",
    PullCause.FORBIDDEN: "the credentials are known but not for this: widen their grant",
    PullCause.RATE_LIMITED: "wait, or use credentials with a higher limit",
    PullCause.SERVER_ERROR: "look at the registry's log, and try again",
    PullCause.UNREACHABLE: "check that the registry runs and its address is right",
    PullCause.CONTENT_MISSING: "the artifact is incomplete in the registry: push it again",
    PullCause.NO_PLATFORM: "build the image for this platform",
    PullCause.INVALID_CONTENT: "push the artifact again with a conforming tool",
}
# 256: a sentence; what a registry says may fill no screen.
_ADVICE_CHARACTERS = 256
_UNTRUSTED_HINT = "where its authority is your own, keep that certificate as /etc/containers/certs.d/{}/ca.crt"


# The answers to which containerd has no words of its own when it fetches content.
_CONTENT_CAUSES = frozenset({PullCause.FORBIDDEN, PullCause.RATE_LIMITED, PullCause.SERVER_ERROR})


_MAY_BE_ABSENT = frozenset({PullCause.NOT_FOUND, PullCause.ACCESS_DENIED, PullCause.FORBIDDEN, PullCause.TOKEN_REFUSED})


@dataclass(frozen=True, slots=True)
class Failure:
    """The facts of a failed request. `status` is 0 when there was no response."""

    cause: PullCause
    detail: str
    status: int = 0
    url: str = ""
    method: str = ""
    anonymous: bool = False
    connected: bool = True
    untrusted: bool = False
    challenge_error: str = ""
    codes: tuple[str, ...] = ()
    said: str = ""  # the registry's first error, as Go's client words it
    advice: str = ""  # what the registry says would help


class RegistryRequestError(RemoteError):
    """A request to a registry failed for a reason that is not this side's."""

    verb: ClassVar[str] = "request"

    def __init__(self, reference: Reference, failure: Failure) -> None:
        super().__init__(
            f"{self.verb} of {reference} failed ({failure.cause}): {failure.detail}",
            hint=_choose_hint(reference, failure),
        )
        self.reference = reference
        self.failure = failure
        self.cause = failure.cause

    @property
    def may_be_absent(self) -> bool:
        """Whether there may simply be nothing there.

        GHCR and others answer alike for what does not exist and for what is private, so who asks before the first push
        of a repository is refused. Whoever goes on learns from the push itself what is wrong.
        """
        return self.cause in _MAY_BE_ABSENT


class PullError(RegistryRequestError):
    """An artifact could not be read."""

    verb = "pull"

    @property
    def grpc_code(self) -> str:
        """The code in a kubelet's message: `rpc error: code = NotFound desc = …`."""
        return "NotFound" if self.cause in {PullCause.NOT_FOUND, PullCause.NO_PLATFORM} else "Unknown"

    def containerd_text(self, reference: str = "") -> str:
        """What containerd says, from `failed to pull and unpack image` on; `reference` as the pod spells it."""
        shown = reference or str(self.reference)
        head = f'failed to pull and unpack image "{shown}": '
        failure = self.failure
        if self.cause is PullCause.CONTENT_MISSING:
            return f"{head}failed to copy: httpReadSeeker: failed open: content at {failure.url} not found: not found"
        if self.cause is PullCause.NO_PLATFORM:
            return f"{head}no match for platform in manifest: not found"
        if self.cause is PullCause.INVALID_CONTENT:
            return f"{head}failed to unmarshal: {failure.detail}"
        if self.cause in _CONTENT_CAUSES and failure.method == "GET" and _is_content(failure.url):
            return f"{head}failed to copy: httpReadSeeker: failed open: {_content_text(failure)}"
        return f'{head}failed to resolve reference "{shown}": {self._resolve_text(shown)}'

    def _resolve_text(self, shown: str) -> str:
        failure = self.failure
        if self.cause is PullCause.NOT_FOUND:
            return f"{shown}: not found"
        if self.cause is PullCause.TOKEN_REFUSED:
            kind = "anonymous" if failure.anonymous else "oauth"
            status = format_status(failure.status)
            return f"failed to authorize: failed to fetch {kind} token: unexpected status: {status}"
        if self.cause is PullCause.ACCESS_DENIED:
            server = f"server message: {failure.challenge_error}: " if failure.challenge_error else ""
            denied = "pull access denied, repository does not exist or may require authorization"
            return f"{denied}: {server}authorization failed"
        if self.cause is PullCause.UNREACHABLE:
            return f'failed to do request: {failure.method.capitalize()} "{failure.url}": {_dial_text(failure)}'
        host, target = self.reference.registry, self.reference.target
        return f"pulling from host {host} failed with status code [manifests {target}]: {format_status(failure.status)}"


class PushError(RegistryRequestError):
    """An artifact could not be written."""

    verb = "push"


class DeleteError(RegistryRequestError):
    """A tag or a manifest could not be deleted."""

    verb = "deletion"


class TagTakenError(ConflictError):
    """The registry refuses to move this tag."""


class CorruptContentError(IntegrityError):
    """The bytes that arrived are not the ones their digest names."""


def _is_content(url: str) -> bool:
    """Whether a URL names bytes by their digest, which are fetched when the reference has been resolved."""
    return "/blobs/" in url or "/manifests/sha256:" in url


def _content_text(failure: Failure) -> str:
    """How containerd words a refusal to give content."""
    server = f" - Server message: {failure.said}" if failure.said else ""
    return f"unexpected status code {failure.url}: {format_status(failure.status)}{server}"


def _dial_text(failure: Failure) -> str:
    """How Go words a failure to connect."""
    if failure.connected:
        return failure.detail
    parts = urlsplit(failure.url)
    if failure.detail == "no such host":
        return f"dial tcp: lookup {parts.hostname}: no such host"
    port = parts.port or {"https": 443}.get(parts.scheme, 80)
    return f"dial tcp {parts.hostname}:{port}: connect: {failure.detail}"


def format_status(status: int) -> str:
    """`403 Forbidden`, as Go prints a status."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _choose_hint(reference: Reference, failure: Failure) -> str:
    if failure.untrusted:
        return _UNTRUSTED_HINT.format(reference.registry)
    # Said to be the registry's: what it advises is not this side's word.
    return f"the registry advises: {failure.advice}" if failure.advice else _HINTS[failure.cause]


def find_advice(entries: list[ErrorEntry]) -> str:
    """What a registry such as ours says would help: `detail.next` of its errors, on one line; empty without one."""
    found = (entry.detail.get("next") for entry in entries if isinstance(entry.detail, dict))
    text = next((one for one in found if isinstance(one, str)), "")
    return "".join(one for one in text[:_ADVICE_CHARACTERS] if one.isprintable())


def describe_unreachable(error: UnreachableError) -> Failure:
    """The facts of a request that got no response."""
    return Failure(
        PullCause.UNREACHABLE,
        error.detail,
        url=error.url,
        method=error.method,
        connected=error.sent,
        untrusted=error.untrusted,
    )


def format_entries(status: int, entries: list[ErrorEntry]) -> str:
    """A status and the registry's own words for it."""
    words = "; ".join(f"{entry.code}: {entry.message}" if entry.message else entry.code for entry in entries)
    return f"{format_status(status)}, {words}" if words else format_status(status)


def format_as_go(entries: list[ErrorEntry]) -> str:
    """The first of a registry's errors in the words of Go's client, which containerd repeats: `name unknown: …`."""
    if not entries:
        return ""
    code = entries[0].code.lower().replace("_", " ")
    return f"{code}: {entries[0].message}" if entries[0].message else code
