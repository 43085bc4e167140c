"""The sandbox image: one static binary, as an archive that containerd imports; no registry is asked for it."""

import io
import json
import tarfile
from pathlib import Path

from fakes.images import make_layer
from towpath.cluster.node.registration import local_platform
from towpath.oci import media
from towpath.oci.annotations import REF_NAME
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.image import ImageConfig, format_image_config
from towpath.oci.manifest import Index, Manifest, format_manifest


def write_pause_archive(binary: Path, archive: Path, *, name: str) -> None:
    """An OCI layout, as a tar, of an image that runs the binary."""
    layer = make_layer({"pause": binary.read_bytes()})
    config = format_image_config(ImageConfig(local_platform(), entrypoint=("/pause",), diff_ids=(Digest.of(layer),)))
    described = [
        Descriptor(kind, Digest.of(content), len(content))
        for kind, content in ((media.OCI_CONFIG, config), (media.OCI_LAYER, layer))
    ]
    manifest = format_manifest(Manifest(described[0], (described[1],)))
    # containerd names an image by this annotation; `name` is the tag to all others.
    annotations = {REF_NAME: name, "io.containerd.image.name": name}
    entry = Descriptor(media.OCI_MANIFEST, Digest.of(manifest), len(manifest), annotations=annotations)
    contents = {f"blobs/sha256/{Digest.of(blob).hex}": blob for blob in (layer, config, manifest)}
    contents["index.json"] = format_manifest(Index((entry,)))
    contents["oci-layout"] = json.dumps({"imageLayoutVersion": "1.0.0"}).encode()
    with tarfile.open(archive, "w") as tar:
        for path, content in contents.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
