"""Writes images as one OCI image layout: the form that skopeo, podman, crane and containerd read from a directory.

Each image has its name in the index (`oci:DIR:NAME` for skopeo). Blobs are copied from the cache and verified on the
way. A layout that was there is replaced: its index is the last thing written, so readers see the old images or the new.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import orjson

from towpath.build.cache import cache_errors, replace_file
from towpath.build.image import BuiltImage, LayerBlob
from towpath.build.index import BuiltIndex
from towpath.errors import ConflictError, IntegrityError
from towpath.oci.annotations import REF_NAME
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.manifest import Index, format_manifest

_MARKER = "oci-layout"
_CHUNK_BYTES = 1 << 20


def write_layout(images: Mapping[str, BuiltImage | BuiltIndex], directory: Path) -> list[Descriptor]:
    """Write images into a layout directory under their names. Blocks.

    Raises:
        ConflictError: the directory holds something else.
        CacheError: no space, or no permission.
        IntegrityError: a layer is damaged or was pruned meanwhile.
    """
    named = [replace(image.descriptor, annotations={REF_NAME: name}) for name, image in images.items()]
    with cache_errors(directory):
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()) and not (directory / _MARKER).is_file():
            raise ConflictError(
                f"{directory} cannot become an image layout (NotEmpty): it has other files in it",
                hint="name a new directory",
            )
        blobs = directory / "blobs" / "sha256"
        blobs.mkdir(parents=True, exist_ok=True)
        replace_file(directory / _MARKER, orjson.dumps({"imageLayoutVersion": "1.0.0"}))
        for image in images.values():
            if isinstance(image, BuiltIndex):
                replace_file(blobs / image.digest.hex, image.manifest_raw)
            for one in _single(image):
                for layer in one.layers:
                    _copy(layer, blobs / layer.descriptor.digest.hex)
                for content in (one.config_raw, one.manifest_raw):
                    replace_file(blobs / Digest.of(content).hex, content)
        replace_file(directory / "index.json", format_manifest(Index(tuple(named))))
    return named


def _single(image: BuiltImage | BuiltIndex) -> Iterator[BuiltImage]:
    yield from image.images if isinstance(image, BuiltIndex) else (image,)


def _copy(layer: LayerBlob, target: Path) -> None:
    if target.exists() and target.stat().st_size == layer.descriptor.size:
        return
    expected = layer.descriptor.digest
    hasher = expected.hasher()
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with layer.path.open("rb") as source, temporary.open("wb") as copy:
            while chunk := source.read(_CHUNK_BYTES):
                hasher.update(chunk)
                copy.write(chunk)
        if hasher.hexdigest() != expected.hex:
            raise IntegrityError(f"layer {expected} is damaged in the build cache (DigestMismatch)", hint="build again")
        temporary.replace(target)
    except FileNotFoundError as error:
        raise IntegrityError(f"layer {expected} is gone from the build cache (CacheMissing)") from error
    finally:
        temporary.unlink(missing_ok=True)
