"""What an image is made of, piece by piece, and the package URLs (purl) that name a piece everywhere."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import quote

from towpath.oci.digest import Digest
from towpath.oci.reference import Reference


class ComponentKind(StrEnum):
    """CycloneDX's words for what a component is."""

    LIBRARY = "library"
    PLATFORM = "platform"
    CONTAINER = "container"
    OPERATING_SYSTEM = "operating-system"


@dataclass(frozen=True, slots=True)
class Component:
    """One piece.

    Attributes:
        kind: what it is.
        name: as its own world calls it.
        version: empty when nothing says it.
        purl: empty when there is none that would be true.
        hashes: `sha256:…` of the distribution or file it came from.
        license: an SPDX expression; empty when not known.
        notes: our own facts by name, such as the path of a file.
        accepted: `sha256:…` of the distribution files that a lock file accepts for it.
    """

    kind: ComponentKind
    name: str
    version: str = ""
    purl: str = ""
    hashes: tuple[str, ...] = ()
    license: str = ""
    notes: Mapping[str, str] = field(default_factory=dict, hash=False)
    accepted: tuple[str, ...] = ()


def python_purl(name: str, version: str) -> str:
    """The package URL of a distribution on PyPI: lower case, hyphens."""
    return f"pkg:pypi/{quote(normalise_python_name(name))}@{quote(version, safe='')}"


def normalise_python_name(name: str) -> str:
    """A distribution's name as PyPI compares it."""
    pieces = name.lower().replace("_", "-").replace(".", "-").split("-")
    return "-".join(piece for piece in pieces if piece)


def image_purl(reference: Reference, digest: Digest, *, architecture: str = "") -> str:
    """The package URL of an image in a registry."""
    name = reference.repository.rpartition("/")[2]
    where = quote(f"{reference.registry}/{reference.repository}", safe="/")
    arch = f"arch={quote(architecture)}&" if architecture else ""
    return f"pkg:oci/{quote(name)}@{quote(str(digest), safe='')}?{arch}repository_url={where}"
