"""What is looked at: the 28 facets of the API, and the two versions of the specification.

A facet that a version does not know is not asked of a registry under that version; it is then neither passed nor
skipped.
"""

from enum import StrEnum


class Version(StrEnum):
    """A version of the distribution specification: the released one, and the current draft."""

    V1_1 = "1.1"
    DEV = "dev"


class Facet(StrEnum):
    """One facet of the API, by the name that the tables use."""

    PING = "ping"
    BLOB_GET = "blob get"
    BLOB_HEAD = "blob head"
    BLOB_RANGE = "blob get range"
    BLOB_PUSH = "blob push"
    BLOB_POST = "blob in one POST"
    BLOB_POST_PUT = "blob POST and PUT"
    BLOB_CHUNKED = "blob in chunks"
    BLOB_STREAM = "blob as a stream"
    BLOB_CANCEL = "blob upload cancel"
    BLOB_MOUNT = "blob mount"
    BLOB_MOUNT_ANONYMOUS = "blob anonymous mount"
    BLOB_DELETE = "blob delete"
    BLOB_DELETE_ATOMIC = "blob delete at once"
    MANIFEST_PUT_DIGEST = "manifest put by digest"
    MANIFEST_PUT_TAG = "manifest put by tag"
    MANIFEST_PUT_TAGS = "manifest put with tag parameters"
    MANIFEST_PUT_SUBJECT = "manifest put with subject"
    MANIFEST_HEAD_DIGEST = "manifest head by digest"
    MANIFEST_HEAD_TAG = "manifest head by tag"
    MANIFEST_GET_DIGEST = "manifest get by digest"
    MANIFEST_GET_TAG = "manifest get by tag"
    MANIFEST_DELETE = "manifest delete"
    MANIFEST_DELETE_ATOMIC = "manifest delete at once"
    TAG_LIST = "tag list"
    TAG_DELETE = "tag delete"
    TAG_DELETE_ATOMIC = "tag delete at once"
    REFERRERS = "referrers"


# Both came after 1.1.
DRAFT_ONLY = frozenset({Facet.BLOB_CANCEL, Facet.MANIFEST_PUT_TAGS})


def facets_of(version: Version) -> list[Facet]:
    """The facets that this version has."""
    return [facet for facet in Facet if version is Version.DEV or facet not in DRAFT_ONLY]
