"""Writes images as one OCI image layout: the form that skopeo, podman, crane and containerd read from a directory.

Each image has its name in the index (`oci:DIR:NAME` for skopeo). Blobs are copied from the cache and verified on the
way. A layout that was there is replaced: its index is the last thing written, so readers see the old images or the new.
Files have the rights that the umask leaves: a layout is for others to read.
"""

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import orjson

from towpath.build.image import BuiltImage, LayerBlob
from towpath.build.index import BuiltIndex
from towpath.errors import ConflictError, IntegrityError, TowpathError, UserError
from towpath.oci.annotations import REF_NAME
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.manifest import Index, format_manifest

_MARKER = "oci-layout"
_CHUNK_BYTES = 1 << 20
# What another directory on the same disk would meet as well.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


class LayoutDirectoryError(UserError):
    """The directory cannot hold a layout: a file is in the way, or the rights are missing."""


class LayoutDiskError(TowpathError):
    """The disk that the layout is to stand on took no more."""


def write_layout(images: Mapping[str, BuiltImage | BuiltIndex], directory: Path) -> list[Descriptor]:
    """Write images into a layout directory under their names. Blocks.

    Raises:
        ConflictError: the directory holds something else.
        LayoutDirectoryError: it is no place for a layout.
        LayoutDiskError: no space.
        IntegrityError: a layer is damaged or was pruned meanwhile.
    """
    named = [replace(image.descriptor, annotations={REF_NAME: name}) for name, image in images.items()]
    with _layout_errors(directory):
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()) and not (directory / _MARKER).is_file():
            raise ConflictError(
                f"{directory} cannot become an image layout (NotEmpty): it has other files in it",
                hint="name a new directory",
            )
        blobs = directory / "blobs" / "sha256"
        blobs.mkdir(parents=True, exist_ok=True)
        _replace(directory / _MARKER, orjson.dumps({"imageLayoutVersion": "1.0.0"}))
        for image in images.values():
            if isinstance(image, BuiltIndex):
                _replace(blobs / image.digest.hex, image.manifest_raw)
            for one in _single(image):
                for layer in one.layers:
                    _copy(layer, blobs / layer.descriptor.digest.hex)
                for content in (one.config_raw, one.manifest_raw):
                    _replace(blobs / Digest.of(content).hex, content)
        _replace(directory / "index.json", format_manifest(Index(tuple(named))))
    return named


def _single(image: BuiltImage | BuiltIndex) -> Iterator[BuiltImage]:
    yield from image.images if isinstance(image, BuiltIndex) else (image,)


def _copy(layer: LayerBlob, target: Path) -> None:
    if target.exists() and target.stat().st_size == layer.descriptor.size:
        return
    expected = layer.descriptor.digest
    try:
        source = layer.path.open("rb")
    except OSError as error:
        reason = error.strerror or error
        raise IntegrityError(f"layer {expected} is gone from the build cache (CacheMissing): {reason}") from error
    hasher = expected.hasher()
    with source, _replacing(target) as temporary:
        with temporary.open("xb") as copy:
            while chunk := source.read(_CHUNK_BYTES):
                hasher.update(chunk)
                copy.write(chunk)
        if hasher.hexdigest() != expected.hex:
            raise IntegrityError(f"layer {expected} is damaged in the build cache (DigestMismatch)", hint="build again")


def _replace(target: Path, content: bytes) -> None:
    with _replacing(target) as temporary, temporary.open("xb") as file:
        file.write(content)


@contextlib.contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """A name beside a file, which takes its place when the block went well."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)  # of a process that was killed and had this one's id
    try:
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _layout_errors(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = f"image layout {directory} cannot be written"
        reason = error.strerror or error
        if error.errno in _FULL:
            raise LayoutDiskError(f"{what} (DiskFull): {reason}", hint="free space, or name another disk") from error
        raise LayoutDirectoryError(
            f"{what} (Unwritable): {reason}", hint="name a directory that is new, or one that you may write to"
        ) from error
