"""An OCI layout directory with one small image, for foreign tools to push."""

import json
from pathlib import Path

from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.image import ImageConfig, format_image_config
from towpath.oci.manifest import Index, Manifest, format_manifest
from towpath.oci.platform import Platform


def write_layout(directory: Path, *layers: bytes) -> Digest:
    """Write the layout (each layer a tar archive); returns the digest of the image's manifest."""
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def store(content: bytes, media_type: str) -> Descriptor:
        digest = Digest.of(content)
        (blobs / digest.hex).write_bytes(content)
        return Descriptor(media_type, digest, len(content))

    config = ImageConfig(
        Platform("linux", "amd64"), entrypoint=("/app",), diff_ids=tuple(Digest.of(layer) for layer in layers)
    )
    manifest = Manifest(
        store(format_image_config(config), media.OCI_CONFIG),
        tuple(store(layer, media.OCI_LAYER) for layer in layers),
    )
    entry = store(format_manifest(manifest), media.OCI_MANIFEST)
    named = Descriptor(entry.media_type, entry.digest, entry.size, {"org.opencontainers.image.ref.name": "latest"})
    (directory / "index.json").write_bytes(format_manifest(Index((named,))))
    (directory / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
    return entry.digest
