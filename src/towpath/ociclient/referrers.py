"""Referrers: what points to a manifest as its subject (signatures, attestations, SBOMs).

A registry lists them itself (`GET referrers/<digest>`). For one that does not, clients keep the list in an index under
a tag made of the subject's digest, as the distribution specification asks ("Referrers Tag Schema"); the pure half of
that is here, the requests are the client's.
"""

from collections.abc import Iterable
from dataclasses import replace

from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.manifest import Index, InvalidManifestError, Manifest, parse_manifest
from towpath.oci.reference import Reference
from towpath.ociclient.errors import PullCause
from towpath.ociclient.responses import failed

# The tag schema cuts algorithm and digest so that the whole fits into a tag.
_ALGORITHM_LENGTH = 32
_ENCODED_LENGTH = 64


def fallback_tag(subject: Digest) -> str:
    """The tag that lists a subject's referrers where the registry does not."""
    return f"{subject.algorithm[:_ALGORITHM_LENGTH]}-{subject.hex[:_ENCODED_LENGTH]}"


def read_referrers(reference: Reference, content: bytes, media_type: str) -> tuple[Descriptor, ...]:
    """The entries of a list of referrers. Raises PullError."""
    try:
        parsed = parse_manifest(content, media_type)
    except InvalidManifestError as error:
        raise failed(reference, PullCause.INVALID_CONTENT, error.message) from error
    if not isinstance(parsed, Index):
        raise failed(reference, PullCause.INVALID_CONTENT, "the list of referrers is no index")
    return parsed.manifests


def of_type(descriptors: Iterable[Descriptor], artifact_type: str) -> tuple[Descriptor, ...]:
    """Those of an artifact type; all when it is empty. A registry may leave the filter to its clients."""
    return tuple(one for one in descriptors if artifact_type in {"", one.artifact_type})


def describe_referrer(raw: bytes, media_type: str, digest: Digest) -> tuple[Descriptor, Descriptor] | None:
    """The subject of a manifest, and the entry that lists the manifest there; None when it has no subject."""
    try:
        parsed = parse_manifest(raw, media_type)
    except InvalidManifestError:
        return None  # the registry took it: it is of a kind that has no subject
    if parsed.subject is None:
        return None
    artifact_type = parsed.artifact_type
    if not artifact_type and isinstance(parsed, Manifest):
        artifact_type = parsed.config.media_type
    entry = Descriptor(parsed.media_type, digest, len(raw), parsed.annotations, artifact_type=artifact_type)
    return parsed.subject, entry


def with_entry(listed: tuple[Descriptor, ...], entry: Descriptor) -> tuple[Descriptor, ...]:
    """The list with an entry added, or as it was when the entry is there."""
    if any(one.digest == entry.digest for one in listed):
        return listed
    return (*listed, replace(entry, platform=None))
