"""What is in a registry, as values: a snapshot that a plan is made from. No I/O."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

# How clients without a referrers API name what they say about a digest: it lives and dies with that.
_REFERRER_TAG = re.compile(r"(sha256|sha512)-([0-9a-f]{64,128})(?:\.[A-Za-z0-9._-]+)?")


@dataclass(frozen=True, slots=True)
class TagFact:
    """A tag, and when it was set to what it names."""

    name: str
    set_at: float


@dataclass(frozen=True, slots=True)
class ManifestFact:
    """A manifest of one repository.

    Attributes:
        repository: its name.
        digest: its digest.
        size: bytes of the document itself.
        pushed_at: when it was last pushed.
        is_index: whether `targets` are manifests; otherwise they are blobs.
        targets: digests that it refers to.
        subject: the digest that it says something about; empty for most.
        tags: those that name it.
    """

    repository: str
    digest: str
    size: int
    pushed_at: float
    is_index: bool = False
    targets: tuple[str, ...] = ()
    subject: str = ""
    tags: tuple[TagFact, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """Repository and digest."""
        return self.repository, self.digest

    @property
    def subjects(self) -> frozenset[str]:
        """What it says something about: by its own word, or by a tag of clients without a referrers API."""
        of_tags = {subject_of_tag(tag.name) for tag in self.tags}
        return frozenset({self.subject, *of_tags} - {""})


@dataclass(frozen=True, slots=True)
class LinkFact:
    """A blob of one repository, and when it came there."""

    repository: str
    digest: str
    linked_at: float

    @property
    def key(self) -> tuple[str, str]:
        """Repository and digest."""
        return self.repository, self.digest


@dataclass(frozen=True, slots=True)
class Facts:
    """A whole registry.

    Attributes:
        manifests: in the order they were pushed.
        links: which repository has which blob.
        sizes: of the blobs, by digest.
        touches: when something was last asked for, by repository and digest, as far as that is remembered.
        started_at: when that memory began.
    """

    manifests: tuple[ManifestFact, ...] = ()
    links: tuple[LinkFact, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)
    touches: Mapping[tuple[str, str], float] = field(default_factory=dict)
    started_at: float = 0.0


def subject_of_tag(tag: str) -> str:
    """The digest that a fallback tag stands for, or empty: `sha256-<hex>`, `sha256-<hex>.sig`."""
    matched = _REFERRER_TAG.fullmatch(tag)
    return f"{matched.group(1)}:{matched.group(2)}" if matched else ""
