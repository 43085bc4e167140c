"""From a registry's answers to values: media types, digests, manifests, tag pages, each failure as a `PullError`."""

from urllib.parse import urlsplit

import orjson

from towpath.http.client import Response
from towpath.oci.digest import Digest, InvalidDigestError
from towpath.oci.image import ImageConfig, InvalidImageConfigError, parse_image_config
from towpath.oci.manifest import Index, InvalidManifestError, Manifest, parse_manifest
from towpath.oci.reference import Reference
from towpath.ociclient.errors import CorruptContentError, Failure, PullCause, PullError

_DEFAULT_MEDIA_TYPE = "application/octet-stream"


def failed(reference: Reference, cause: PullCause, detail: str, *, url: str = "") -> PullError:
    """A pull error that no status code stands for."""
    return PullError(reference, Failure(cause, detail, url=url, method="GET"))


def corrupt(reference: Reference, detail: str) -> CorruptContentError:
    """The error of bytes that do not match their digest."""
    return CorruptContentError(
        f"pull of {reference} failed (DigestMismatch): {detail}",
        hint="the registry's storage or the way to it is damaged: push the artifact again",
    )


def read_media_type(response: Response) -> str:
    """The content type without parameters."""
    return response.headers.get("content-type", _DEFAULT_MEDIA_TYPE).partition(";")[0].strip()


def read_digest(reference: Reference, text: str) -> Digest:
    """The digest of a header. Raises PullError."""
    try:
        return Digest.parse(text)
    except InvalidDigestError as error:
        raise failed(reference, PullCause.INVALID_CONTENT, error.problem) from error


def read_manifest(reference: Reference, content: bytes, media_type: str) -> Manifest | Index:
    """The manifest of a body. Raises PullError."""
    try:
        return parse_manifest(content, media_type)
    except InvalidManifestError as error:
        raise failed(reference, PullCause.INVALID_CONTENT, error.message) from error


def read_image_config(reference: Reference, content: bytes) -> ImageConfig:
    """The image configuration of a blob. Raises PullError."""
    try:
        return parse_image_config(content)
    except InvalidImageConfigError as error:
        raise failed(reference, PullCause.INVALID_CONTENT, error.message) from error


def read_tags(reference: Reference, content: bytes) -> list[str]:
    """One page of tags; `null` is what some registries send for none. Raises PullError."""
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise failed(reference, PullCause.INVALID_CONTENT, f"the tag list is no JSON: {error.msg}") from error
    tags = document.get("tags") or [] if isinstance(document, dict) else None
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise failed(reference, PullCause.INVALID_CONTENT, "the tag list is malformed")
    return tags


def find_next_query(link: str) -> str:
    """The query of a `Link: <…>; rel="next"` header; empty without one. Only the query is used, never the host."""
    target, _, parameters = link.partition(">")
    if "next" not in parameters:
        return ""
    return urlsplit(target.strip().removeprefix("<")).query
