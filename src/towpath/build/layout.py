"""Writes an image as an OCI image layout: the form that skopeo, podman, crane and containerd read from a directory."""

import shutil
from dataclasses import replace
from pathlib import Path

import orjson

from towpath.build.cache import cache_errors, replace_file
from towpath.build.image import BuiltImage
from towpath.oci.annotations import REF_NAME
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.manifest import Index, format_manifest


def write_layout(image: BuiltImage, directory: Path, *, name: str) -> Descriptor:
    """Write `image` into a layout directory under `name`; a layout that was there is replaced.

    Raises:
        CacheError: no space, no permission, or a layer was pruned meanwhile.
    """
    with cache_errors(directory):
        blobs = directory / "blobs" / "sha256"
        blobs.mkdir(parents=True, exist_ok=True)
        for layer in image.layers:
            shutil.copyfile(layer.path, blobs / layer.descriptor.digest.hex)
        for content in (image.config_raw, image.manifest_raw):
            replace_file(blobs / Digest.of(content).hex, content)
        named = replace(image.descriptor, annotations={REF_NAME: name})
        replace_file(directory / "index.json", format_manifest(Index((named,))))
        replace_file(directory / "oci-layout", orjson.dumps({"imageLayoutVersion": "1.0.0"}))
    return named
