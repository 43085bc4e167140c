"""What the catalog takes and gives: rows of its tables, and what a change did."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Target:
    """One thing that a manifest refers to.

    Attributes:
        digest: its digest.
        size: its bytes, as the manifest says.
        beside: another repository that may have it instead, or empty.
    """

    digest: str
    size: int
    beside: str = ""


@dataclass(frozen=True, slots=True)
class Targets:
    """What a manifest refers to.

    Attributes:
        blobs: what its repository must have as blobs.
        children: what its repository must have as manifests, or the one beside it.
        optional: what its repository may have as blobs.
        sparse: whether it is taken all the same: a copy of another registry's manifest, of which parts may come later.
    """

    blobs: Sequence[Target] = ()
    children: Sequence[Target] = ()
    optional: Sequence[Target] = ()
    sparse: bool = False


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """A stored manifest; `subject` is empty for most, `annotations` is a JSON object."""

    digest: str
    media_type: str
    content: bytes = field(repr=False)
    subject: str = ""
    artifact_type: str = ""
    annotations: str = "{}"


@dataclass(frozen=True, slots=True)
class ReferrerRow:
    """What a list of referrers says of one; `size` is in bytes."""

    digest: str
    media_type: str
    size: int
    artifact_type: str
    annotations: str


@dataclass(frozen=True, slots=True)
class TagMove:
    """A tag that a push set; `before` is the digest it had, or empty."""

    tag: str
    before: str
    after: str
