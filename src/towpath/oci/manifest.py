"""Image manifests and indexes, OCI's and Docker's schema 2.

`parse_manifest` reads what is needed to verify and to walk; the received bytes stay the identity and are kept by
whoever received them. Documents that could be read two ways (`layers` and `manifests` in one) are refused, because two
readers would then disagree on what they run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.fields import Fields, InvalidDocumentError


class InvalidManifestError(InvalidDocumentError):
    """Bytes that are not a manifest or an index."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("manifest", problems)


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image (or artifact): a configuration and layers, lowest first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    artifact_type: str = ""
    subject: Descriptor | None = None
    media_type: str = media.OCI_MANIFEST

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Everything the manifest needs from the blob store: configuration and layers."""
        return (self.config, *self.layers)


@dataclass(frozen=True, slots=True)
class Index:
    """A list of manifests (or indexes), for platforms or, in Towpath, for the services of one commit."""

    manifests: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    artifact_type: str = ""
    subject: Descriptor | None = None
    media_type: str = media.OCI_INDEX


def parse_manifest(raw: bytes, media_type: str = "") -> Manifest | Index:
    """Read a manifest or an index.

    Args:
        raw: the document as received.
        media_type: the `Content-Type` it came with; parameters such as `charset` are ignored.

    Raises:
        InvalidManifestError: with every problem found.
    """
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidManifestError([f"line {error.lineno}, column {error.colno}: {error.msg}"]) from error
    problems: list[str] = []
    fields = Fields.of(document, "", problems)
    if fields.integer("schemaVersion", required=True) != 2 and not problems:
        fields.note("schemaVersion", f"expected 2, got {fields.value['schemaVersion']}")
    kind = _decide_kind(fields, media_type.partition(";")[0].strip())
    parsed = _read_index(fields, kind) if media.is_index(kind) else _read_manifest(fields, kind)
    if problems or parsed is None:
        raise InvalidManifestError(problems)
    return parsed


def format_manifest(manifest: Manifest | Index) -> bytes:
    """The document as bytes: sorted keys, no white space, so equal values give equal digests."""
    document: dict[str, Any] = {"schemaVersion": 2, "mediaType": manifest.media_type}
    if isinstance(manifest, Manifest):
        document["config"] = manifest.config.to_json()
        document["layers"] = [layer.to_json() for layer in manifest.layers]
    else:
        document["manifests"] = [entry.to_json() for entry in manifest.manifests]
    if manifest.artifact_type:
        document["artifactType"] = manifest.artifact_type
    if manifest.subject:
        document["subject"] = manifest.subject.to_json()
    if manifest.annotations:
        document["annotations"] = dict(manifest.annotations)
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def _decide_kind(fields: Fields, content_type: str) -> str:
    declared = fields.text("mediaType")
    known = media.MANIFESTS | media.INDEXES
    if declared and content_type and declared != content_type:
        fields.note("mediaType", f"{declared!r} contradicts the content type {content_type!r}")
    kind = declared or content_type
    if kind and kind not in known:
        fields.note("mediaType", f"{kind!r} is not a manifest or an index")
    if fields.has("manifests") and (fields.has("layers") or fields.has("config")):
        fields.note("manifests", "a document is either an index (manifests) or a manifest (config, layers), not both")
    if kind in known:
        return kind
    return media.OCI_INDEX if fields.has("manifests") else media.OCI_MANIFEST


def _read_manifest(fields: Fields, kind: str) -> Manifest | None:
    if not fields.has("config"):
        fields.note("config", "is missing")
    config = Descriptor.find(fields.value["config"], "config", fields.problems) if fields.has("config") else None
    layers = _read_descriptors(fields, "layers")
    if config is None:
        return None
    return Manifest(
        config, layers, fields.text_mapping("annotations"), fields.text("artifactType"), _subject(fields), kind
    )


def _read_index(fields: Fields, kind: str) -> Index:
    manifests = _read_descriptors(fields, "manifests")
    return Index(manifests, fields.text_mapping("annotations"), fields.text("artifactType"), _subject(fields), kind)


def _read_descriptors(fields: Fields, name: str) -> tuple[Descriptor, ...]:
    items = fields.items(name, required=True)
    found = [Descriptor.find(item, f"{name}[{index}]", fields.problems) for index, item in enumerate(items)]
    return tuple(descriptor for descriptor in found if descriptor is not None)


def _subject(fields: Fields) -> Descriptor | None:
    if not fields.has("subject"):
        return None
    return Descriptor.find(fields.value["subject"], "subject", fields.problems)
