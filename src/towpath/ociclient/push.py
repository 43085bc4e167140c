"""Writing to a registry: blobs by one upload session each, manifests by digest or tag.

An upload is a POST that opens a session (or mounts the blob from another repository) and one PUT with the content. A
PUT that fails half-way leaves a session of unknown length, so the whole procedure is what is repeated.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from urllib.parse import quote, urljoin

from towpath.http.client import Response
from towpath.oci.challenge import PULL, PUSH, Scope
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.errors import ErrorCode
from towpath.oci.reference import Reference
from towpath.ociclient.errors import CorruptContentError, Failure, PullCause, PushError, TagTakenError
from towpath.ociclient.session import Call, Session

OpenBlob = Callable[[], AsyncIterator[bytes]]

UPLOAD_ATTEMPTS = 3
_REPEATED_CAUSES = frozenset({PullCause.UNREACHABLE, PullCause.SERVER_ERROR, PullCause.NOT_FOUND})


async def push_blob(
    session: Session, reference: Reference, descriptor: Descriptor, open_blob: OpenBlob, *, mount_from: str
) -> bool:
    """Upload or mount a blob that the repository does not have; False means it was mounted."""
    for attempt in range(1, UPLOAD_ATTEMPTS + 1):
        try:
            location = await _start_upload(session, reference, descriptor.digest, mount_from)
            if not location:
                return False
            await _send_content(session, reference, descriptor, open_blob, location)
        except PushError as error:
            if error.cause not in _REPEATED_CAUSES or attempt == UPLOAD_ATTEMPTS:
                raise
        else:
            return True
    raise AssertionError("unreachable: the last attempt returns or raises")


@dataclass(frozen=True, slots=True)
class PushedManifest:
    """A manifest that a registry took.

    Attributes:
        digest: its digest.
        subject_listed: whether the registry lists it among the referrers of its subject.
    """

    digest: Digest
    subject_listed: bool


async def push_manifest(session: Session, reference: Reference, raw: bytes, media_type: str) -> PushedManifest:
    """Put a manifest under the reference's tag, or under its digest when it has no tag."""
    digest = Digest.of(raw, reference.digest.algorithm if reference.digest else "sha256")
    if reference.digest and reference.digest != digest:
        raise CorruptContentError(f"push of {reference} failed (DigestMismatch): the manifest has digest {digest}")
    target = reference.tag or str(digest)
    call = Call(
        "PUT", f"manifests/{target}", _scopes(reference), PushError, {"Content-Type": media_type}, raw, len(raw)
    )
    response = await session.call(reference, call)
    if response.status == 409:
        error = await session.fail(reference, call, response)
        raise TagTakenError(
            f"push of {reference} failed (TagTaken): {error.failure.detail}",
            hint="an artifact tag never moves: push under the tag of another commit",
        )
    if response.status not in {200, 201}:
        raise await session.fail(reference, call, response)
    await response.close()
    return PushedManifest(digest, "oci-subject" in response.headers)


async def _start_upload(session: Session, reference: Reference, digest: Digest, mount_from: str) -> str:
    """The address to send the content to; empty when the blob was mounted."""
    scopes = _scopes(reference)
    target = "blobs/uploads/"
    if mount_from:
        scopes += (Scope.of_repository(mount_from, PULL),)
        target += f"?mount={quote(str(digest), safe='')}&from={quote(mount_from, safe='')}"
    call = Call("POST", target, scopes, PushError)
    response = await session.call(reference, call)
    if response.status == 201 and mount_from:
        await response.close()
        return ""
    if response.status != 202:
        raise await session.fail(reference, call, response)
    await response.close()
    return _location(session, reference, response, digest)


def _location(session: Session, reference: Reference, response: Response, digest: Digest) -> str:
    location = response.headers.get("location", "")
    if not location:
        detail = "the registry opened an upload without saying where"
        raise PushError(reference, Failure(PullCause.INVALID_CONTENT, detail, response.status, response.url, "POST"))
    url = urljoin(session.url(reference, "blobs/uploads/"), location)
    return f"{url}{'&' if '?' in url else '?'}digest={quote(str(digest), safe='')}"


async def _send_content(
    session: Session, reference: Reference, descriptor: Descriptor, open_blob: OpenBlob, location: str
) -> None:
    headers = {"Content-Type": "application/octet-stream"}
    body = open_blob if descriptor.size else b""
    call = Call("PUT", location, _scopes(reference), PushError, headers, body, descriptor.size, repeat=False)
    response = await session.call(reference, call)
    if response.status == 201:
        await response.close()
        return
    error = await session.fail(reference, call, response)
    if ErrorCode.DIGEST_INVALID in error.failure.codes:
        raise CorruptContentError(
            f"push of {reference} failed (DigestMismatch): the content sent is not {descriptor.digest}",
            hint="the file changed while it was sent, or the disk is failing: build again",
        ) from error
    raise error


def _scopes(reference: Reference) -> tuple[Scope, ...]:
    return (Scope.of_repository(reference.repository, PULL, PUSH),)
