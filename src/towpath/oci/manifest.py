"""Image manifests and indexes, OCI's and Docker's schema 2.

`parse_manifest` reads what is needed to verify and to walk; the received bytes stay the identity and are kept by
whoever received them. Documents that could be read two ways (`layers` and `manifests` in one, a key twice, `Layers` for
`layers`) are refused, because two readers would then disagree on what they run.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.fields import Fields, InvalidDocumentError

# 100: what is wrong with the hundredth entry is wrong with all; each problem costs memory that the sender chose.
ENTRY_PROBLEM_LIMIT = 100
# 300 000: twice what the largest index that a registry takes (4 MiB) has of the smallest entries that say anything.
# What has more is made to cost its reader memory: `[[]]` takes two bytes of a document and a hundred of the reader's.
ITEM_LIMIT = 300_000
_KEYS = frozenset(
    {"schemaVersion", "mediaType", "config", "layers", "manifests", "artifactType", "subject", "annotations"}
)
_KEYS_BY_FOLD = {key.casefold(): key for key in _KEYS}


class InvalidManifestError(InvalidDocumentError):
    """Bytes that are not a manifest or an index."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("manifest", problems)


@dataclass(frozen=True, slots=True)
class RawManifest:
    """A manifest as received; `digest` was computed over `content`."""

    content: bytes
    media_type: str
    digest: Digest


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
    items = raw.count(b",") + raw.count(b"[") + raw.count(b"{")
    if items > ITEM_LIMIT:
        raise InvalidManifestError([f"document: has about {items} items, at most {ITEM_LIMIT} are read"])
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidManifestError([f"line {error.lineno}, column {error.colno}: {error.msg}"]) from error
    problems = _find_twins(raw)
    fields = Fields.of(document, "", problems)
    for key in fields.value.keys() - _KEYS:
        meant = _KEYS_BY_FOLD.get(key.casefold())
        if meant:
            fields.note(key, f"some readers take it for {meant!r}")
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
    found = []
    for index, item in enumerate(items):
        found.append(Descriptor.find(item, f"{name}[{index}]", fields.problems))
        if len(fields.problems) > ENTRY_PROBLEM_LIMIT:
            break
    return tuple(descriptor for descriptor in found if descriptor is not None)


def _find_twins(raw: bytes) -> list[str]:
    """Keys that are twice in one object: some readers take the first, others the last."""
    twins: dict[str, None] = {}

    def note(pairs: list[tuple[str, Any]]) -> None:
        if len({key for key, _ in pairs}) != len(pairs):
            counted = Counter(key for key, _ in pairs)
            twins.update((key, None) for key, number in counted.items() if number > 1)

    try:
        json.loads(raw, object_pairs_hook=note)
    except RecursionError:
        return ["document: nested too deep"]
    except ValueError as error:
        return [f"document: {error}"]
    return [f"{key[:80]}: is in one object more than once" for key in list(twins)[:ENTRY_PROBLEM_LIMIT]]


def _subject(fields: Fields) -> Descriptor | None:
    if not fields.has("subject"):
        return None
    return Descriptor.find(fields.value["subject"], "subject", fields.problems)
