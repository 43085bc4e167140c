"""Contents to push: blobs, configurations, layers, manifests and indexes, made anew for each run from a seed.

Documents are built from the image specification's text; a `Draft` collects what one data set consists of, in the order
in which it can be pushed. Which data sets there are stands in `data_sets`.
"""

import gzip
import hashlib
import io
import json
import random
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
PLATFORMS = (("linux", "amd64"), ("linux", "arm64"))
Document = dict[str, Any]


@dataclass(frozen=True)
class PushedManifest:
    """A manifest or an index, and what must be known of it later."""

    digest: str
    content: bytes = field(repr=False)
    media_type: str
    tags: tuple[str, ...] = ()
    subject: str = ""
    artifact_type: str = ""
    annotations: dict[str, str] = field(default_factory=dict)

    @property
    def descriptor(self) -> Document:
        """What an index says of it."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.content)}


def digest_of(content: bytes, algorithm: str = "sha256") -> str:
    """`algorithm:hex`."""
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


class Draft:
    """A data set that is being put together."""

    def __init__(self, rng: random.Random, algorithm: str = "sha256") -> None:
        self.rng = rng
        self.algorithm = algorithm
        self.blobs: dict[str, bytes] = {}
        self.manifests: list[PushedManifest] = []

    def blob(self, media_type: str, content: bytes) -> Document:
        """A blob to push; returns its descriptor."""
        digest = digest_of(content, self.algorithm)
        self.blobs[digest] = content
        return {"mediaType": media_type, "digest": digest, "size": len(content)}

    def layer(self, *, compressed: bool = True) -> tuple[Document, str]:
        """A layer with one small file; returns its descriptor and its diffID."""
        data = self.rng.randbytes(120)
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            member = tarfile.TarInfo(f"data/{data[:8].hex()}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        tar = buffer.getvalue()
        content = gzip.compress(tar, mtime=0) if compressed else tar
        return self.blob(LAYER_GZIP if compressed else LAYER, content), digest_of(tar)

    def config(self, diff_ids: Sequence[str], platform: tuple[str, str] = PLATFORMS[0], **extra: Any) -> Document:
        """An image configuration; returns its descriptor."""
        document = {
            "os": platform[0],
            "architecture": platform[1],
            "author": self.rng.randbytes(8).hex(),
            "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
            **extra,
        }
        return self.blob(CONFIG, _encode(document))

    def manifest(
        self, config: Document, layers: Sequence[Document], tags: Sequence[str] = (), **fields: Any
    ) -> PushedManifest:
        """An image manifest; `fields` are further members of the document."""
        document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": list(layers), **fields}
        return self._add(MANIFEST, document, tags, fields.get("artifactType") or config["mediaType"])

    def image(
        self,
        tags: Sequence[str] = (),
        *,
        layers: int = 2,
        compressed: bool = True,
        platform: tuple[str, str] = PLATFORMS[0],
        **fields: Any,
    ) -> PushedManifest:
        """An image with layers of its own."""
        made = [self.layer(compressed=compressed) for _ in range(layers)]
        config = self.config([diff_id for _, diff_id in made], platform)
        return self.manifest(config, [descriptor for descriptor, _ in made], tags, **fields)

    def artifact(
        self, artifact_type: str, tags: Sequence[str] = (), *, layers: int = 1, **fields: Any
    ) -> PushedManifest:
        """An artifact: no configuration of its own, a type, and layers of any media type."""
        config = self.blob(EMPTY, b"{}")
        made = [self.blob("application/vnd.example.data", self.rng.randbytes(64)) for _ in range(layers)]
        return self.manifest(config, made or [config], tags, artifactType=artifact_type, **fields)

    def index(self, entries: Sequence[Document], tags: Sequence[str] = (), **fields: Any) -> PushedManifest:
        """An index over descriptors."""
        document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": list(entries), **fields}
        return self._add(INDEX, document, tags, fields.get("artifactType", ""))

    def multi_platform(self, tags: Sequence[str] = (), **fields: Any) -> PushedManifest:
        """An index over one image for each platform."""
        entries = []
        for platform in PLATFORMS:
            image = self.image(platform=platform)
            entries.append({**image.descriptor, "platform": {"os": platform[0], "architecture": platform[1]}})
        return self.index(entries, tags, **fields)

    def _add(self, media_type: str, document: Document, tags: Sequence[str], artifact_type: str) -> PushedManifest:
        content = _encode(document)
        digest = digest_of(content, self.algorithm)
        subject = document.get("subject", {}).get("digest", "")
        annotations = document.get("annotations", {})
        made = PushedManifest(digest, content, media_type, tuple(tags), subject, artifact_type, annotations)
        self.manifests.append(made)
        return made


def _encode(document: Document) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
