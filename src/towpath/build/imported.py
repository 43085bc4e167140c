"""Takes an image out of an OCI layout that an engine wrote, into the build cache.

The layout's `index.json` says which image it is; every blob is hashed on its way in. Layers that are compressed stay as
they are; plain tars are compressed as all our layers are, and found again by their diffID at the next build.
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from towpath.build.cache import TEMPORARY_PREFIX, Layer, LayerCache, cache_errors
from towpath.build.compression import compressor_name
from towpath.build.engines.engine import EngineFailedError
from towpath.build.image import LayerBlob
from towpath.build.layer import pack_tar
from towpath.oci import annotations, media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.fields import InvalidDocumentError
from towpath.oci.image import ImageConfig, parse_image_config
from towpath.oci.manifest import Index, Manifest, parse_manifest
from towpath.oci.platform import Platform

_READ_BYTES = 1 << 20
_LARGEST_DOCUMENT_BYTES = 8 << 20
_COMPRESSED = {
    media.OCI_LAYER_GZIP: media.OCI_LAYER_GZIP,
    media.OCI_LAYER_ZSTD: media.OCI_LAYER_ZSTD,
    media.DOCKER_LAYER_GZIP: media.OCI_LAYER_GZIP,
}
_PLAIN = frozenset({media.OCI_LAYER, "application/vnd.docker.image.rootfs.diff.tar"})


@dataclass(frozen=True, slots=True)
class ImportedImage:
    """An engine's image.

    Attributes:
        config: its configuration.
        config_raw: the configuration's bytes.
        layers: in the cache, lowest first.
        base_name: what the engine says it is built on; empty when it does not.
        base_digest: of that; None likewise.
        cached: whether no layer had to be taken over.
    """

    config: ImageConfig
    config_raw: bytes
    layers: tuple[LayerBlob, ...]
    base_name: str
    base_digest: Digest | None
    cached: bool


def import_layout(layout: Path, cache: LayerCache, platform: Platform) -> ImportedImage:
    """Take over the image of a platform. Blocks.

    Raises:
        EngineFailedError: the layout is not one, lacks a part, or a part is not what its digest says.
        CacheError: no space, or no permission.
    """
    try:
        manifest = _find_manifest(layout, platform)
        config_raw = _read_blob(layout, manifest.config)
        config = parse_image_config(config_raw)
        if len(config.diff_ids) != len(manifest.layers) or not config.platform.matches(platform):
            raise EngineFailedError(
                f"image of the engine is not the one asked for (EngineFailed): {len(manifest.layers)} layers for "
                f"{config.platform}, expected {len(config.diff_ids)} for {platform}"
            )
        taken = [
            _take_layer(layout, cache, layer, diff_id)
            for layer, diff_id in zip(manifest.layers, config.diff_ids, strict=True)
        ]
    except (InvalidDocumentError, FileNotFoundError) as error:
        raise EngineFailedError(f"layout of the engine cannot be used (EngineFailed): {error}") from error
    notes = manifest.annotations
    digest = notes.get(annotations.BASE_DIGEST, "")
    name = notes.get(annotations.BASE_NAME, "")
    return ImportedImage(
        config,
        config_raw,
        tuple(blob for blob, _ in taken),
        name,
        Digest.parse(digest) if name and digest else None,
        all(cached for _, cached in taken),
    )


def _find_manifest(layout: Path, platform: Platform) -> Manifest:
    found = parse_manifest((layout / "index.json").read_bytes(), media.OCI_INDEX)
    for _ in range(3):  # an index in an index is what builders for several platforms write
        if isinstance(found, Manifest):
            return found
        entry = _choose(found, platform)
        found = parse_manifest(_read_blob(layout, entry), entry.media_type)
    raise EngineFailedError("layout of the engine cannot be used (EngineFailed): its indexes have no end")


def _choose(index: Index, platform: Platform) -> Descriptor:
    fitting = [one for one in index.manifests if one.platform is None or one.platform.matches(platform)]
    if len(fitting) != 1:
        raise EngineFailedError(
            f"layout of the engine cannot be used (EngineFailed): {len(fitting)} images for {platform}, expected one"
        )
    return fitting[0]


def _path(layout: Path, digest: Digest) -> Path:
    return layout / "blobs" / digest.algorithm / digest.hex


def _read_blob(layout: Path, descriptor: Descriptor) -> bytes:
    path = _path(layout, descriptor.digest)
    if path.stat().st_size > _LARGEST_DOCUMENT_BYTES:
        raise EngineFailedError(f"blob {descriptor.digest} of the engine is too large (EngineFailed) for a document")
    content = path.read_bytes()
    if not descriptor.digest.matches(content):
        raise _damaged(descriptor)
    return content


def _take_layer(layout: Path, cache: LayerCache, layer: Descriptor, diff_id: Digest) -> tuple[LayerBlob, bool]:
    """The layer in the cache, and whether it was there already."""
    source = _path(layout, layer.digest)
    if not source.is_file():
        raise EngineFailedError(f"layout of the engine cannot be used (EngineFailed): it lacks {layer.digest}")
    if layer.media_type in _COMPRESSED:
        kept = Descriptor(_COMPRESSED[layer.media_type], layer.digest, layer.size)
        if cache.has(kept.digest, kept.size):
            return LayerBlob(kept, cache.path(kept.digest)), True
        with cache_errors(cache.blobs):
            _copy(source, cache, layer)
        return LayerBlob(kept, cache.path(kept.digest)), False
    if layer.media_type not in _PLAIN:
        raise EngineFailedError(f"layer of the engine is of type {layer.media_type} (EngineFailed): it is no layer")
    key = f"plain layer {compressor_name()} {diff_id}"
    found = cache.find(key)
    cached = found is not None
    if found is None:
        with cache_errors(cache.blobs):
            found = _pack(source, cache, layer, diff_id)
        cache.put(key, found)
    return LayerBlob(Descriptor(media.OCI_LAYER_GZIP, found.digest, found.size), cache.path(found.digest)), cached


def _copy(source: Path, cache: LayerCache, layer: Descriptor) -> None:
    hasher = layer.digest.hasher()
    handle, temporary = tempfile.mkstemp(dir=cache.blobs, prefix=TEMPORARY_PREFIX)
    try:
        with os.fdopen(handle, "wb") as file, source.open("rb") as read:
            while chunk := read.read(_READ_BYTES):
                hasher.update(chunk)
                file.write(chunk)
            os.fchmod(handle, 0o644)
            size = file.tell()
        if hasher.hexdigest() != layer.digest.hex or size != layer.size:
            raise _damaged(layer)
        Path(temporary).replace(cache.path(layer.digest))
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _pack(source: Path, cache: LayerCache, layer: Descriptor, diff_id: Digest) -> Layer:
    packed = pack_tar(source, cache.blobs)
    if packed.diff_id != diff_id or packed.diff_id != layer.digest:
        if packed.fresh:
            cache.discard(packed.digest)
        raise _damaged(layer)
    return packed


def _damaged(layer: Descriptor) -> EngineFailedError:
    return EngineFailedError(f"blob {layer.digest} of the engine is not what its digest says (EngineFailed)")
