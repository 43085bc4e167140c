"""What the catalog takes and gives: rows of its tables, and what a change did."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Targets:
    """What a manifest refers to, as digests.

    Attributes:
        blobs: what its repository must have as blobs.
        children: what must be a manifest of this registry, in its repository or another.
        sparse: whether it is taken all the same: a copy of another registry's manifest, of which parts may come later.
    """

    blobs: Sequence[str] = ()
    children: Sequence[str] = ()
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
