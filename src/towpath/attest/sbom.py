"""SBOMs in CycloneDX 1.6 JSON: the components of one image.

Reproducible: the serial number is made of the image's digest, the time is the commit's, components stand in one order.
A document says of itself when something in the image could not be looked into (`compositions: incomplete`). Reading
judges form and subject alone; the official schema judges ours in the tests.
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson

from towpath.attest.components import Component, ComponentKind, image_purl
from towpath.attest.errors import InvalidAttestationError
from towpath.oci.digest import Digest, InvalidDigestError
from towpath.oci.reference import Reference

MEDIA_TYPE = "application/vnd.cyclonedx+json"
# What in-toto statements (and cosign's `--type cyclonedx`) call a document of this kind.
PREDICATE_TYPE = "https://cyclonedx.org/bom"
SPEC_VERSION = "1.6"
_ALGORITHMS = {"md5": "MD5", "sha1": "SHA-1", "sha256": "SHA-256", "sha384": "SHA-384", "sha512": "SHA-512"}
_FORMAT = "CycloneDX"


@dataclass(frozen=True, slots=True)
class Described:
    """The image that a document is about.

    Attributes:
        reference: its repository.
        digest: of its manifest.
        version: its tag; may be empty.
        architecture: of its platform.
        created: RFC 3339, or empty.
    """

    reference: Reference
    digest: Digest
    version: str
    architecture: str
    created: str


def format_sbom(
    image: Described, components: Iterable[Component], *, builder_version: str, complete: bool = True
) -> dict[str, Any]:
    """The document, as JSON values.

    Args:
        image: what it is about.
        components: what is in the image.
        builder_version: of Towpath.
        complete: False when parts of the image could not be looked into.
    """
    purl = image_purl(image.reference, image.digest, architecture=image.architecture)
    name = image.reference.repository.rpartition("/")[2]
    about = Component(ComponentKind.CONTAINER, name, image.version, purl, (str(image.digest),))
    parts = {_reference_of(one): one for one in sorted(components, key=_order)}
    metadata: dict[str, Any] = {
        "component": _format_component(about, purl),
        "tools": {"components": [{"type": "application", "name": "towpath", "version": builder_version}]},
    }
    if image.created:
        metadata["timestamp"] = image.created
    document: dict[str, Any] = {
        "bomFormat": _FORMAT,
        "specVersion": SPEC_VERSION,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'sbom of {image.digest}')}",
        "version": 1,
        "metadata": metadata,
        "components": [_format_component(one, reference) for reference, one in parts.items()],
        "dependencies": [{"ref": purl, "dependsOn": list(parts)}],
    }
    if not complete:
        document["compositions"] = [{"aggregate": "incomplete", "assemblies": [purl]}]
    return document


def read_sbom(document: Mapping[str, Any]) -> tuple[Digest | None, int]:
    """The digest that a document says it is about (None when it does not) and the number of its components.

    Raises:
        InvalidAttestationError: it is no CycloneDX document.
    """
    components = document.get("components", [])
    if document.get("bomFormat") != _FORMAT or not isinstance(document.get("specVersion"), str):
        raise InvalidAttestationError("SBOM is no CycloneDX document (Schema): expected bomFormat and specVersion")
    if not isinstance(components, list) or not all(_is_component(one) for one in components):
        raise InvalidAttestationError("SBOM is malformed (Schema): every component needs a type and a name")
    try:
        hashes = document["metadata"]["component"]["hashes"]
        found = {one["alg"]: one["content"] for one in hashes}
    except (KeyError, TypeError):
        return None, len(components)
    for algorithm, word in (("sha256", "SHA-256"), ("sha512", "SHA-512")):
        if word in found:
            try:
                return Digest.parse(f"{algorithm}:{found[word]}"), len(components)
            except InvalidDigestError as error:
                raise InvalidAttestationError(f"SBOM is malformed (Schema): {error.problem}") from error
    return None, len(components)


def dump_sbom(document: Mapping[str, Any]) -> bytes:
    """The document as bytes: sorted keys, no white space."""
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def load_sbom(raw: bytes) -> dict[str, Any]:
    """A document's JSON values. Raises InvalidAttestationError."""
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidAttestationError(f"SBOM is no JSON (Syntax): {error.msg}") from error
    if not isinstance(document, dict):
        raise InvalidAttestationError("SBOM is no CycloneDX document (Schema): expected an object")
    return document


def _is_component(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(name), str) for name in ("type", "name"))


def _order(component: Component) -> tuple[str, str, str, str]:
    return component.kind, component.name, component.version, component.notes.get("path", "")


def _reference_of(component: Component) -> str:
    path = component.notes.get("path", "")
    return component.purl or f"{component.kind}:{component.name}@{component.version}{':' if path else ''}{path}"


def _format_hashes(texts: Iterable[str]) -> list[dict[str, str]]:
    pairs = (text.partition(":") for text in texts)
    return [{"alg": _ALGORITHMS[name], "content": value} for name, _, value in pairs if name in _ALGORITHMS]


def _format_component(component: Component, reference: str) -> dict[str, Any]:
    document: dict[str, Any] = {"type": str(component.kind), "name": component.name, "bom-ref": reference}
    if component.version:
        document["version"] = component.version
    if component.purl:
        document["purl"] = component.purl
    if hashes := _format_hashes(component.hashes):
        document["hashes"] = hashes
    if component.license:
        document["licenses"] = [{"license": {"name": component.license}}]
    if accepted := _format_hashes(component.accepted):
        url = f"https://pypi.org/project/{quote(component.name)}/{quote(component.version)}/"
        document["externalReferences"] = [{"type": "distribution", "url": url, "hashes": accepted}]
    if component.notes:
        document["properties"] = [
            {"name": f"towpath:{name}", "value": value} for name, value in sorted(component.notes.items())
        ]
    return document
