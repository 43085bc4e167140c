"""Docker's own archive of an image, which `docker save` wrote before 25.0, as a layout.

Its `manifest.json` names the configuration and the layers, lowest first, all of them plain tars; one that comes twice
is a link to its first place. Descriptors say what is there; that it is what the configuration promises is checked where
the layout is taken over (`build.imported`).
"""

import hashlib
import posixpath
import tarfile
from pathlib import Path
from typing import IO, Any

import orjson

from towpath.build.engines.engine import EngineFailedError
from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.fields import Fields
from towpath.oci.manifest import Index, Manifest, format_manifest

LISTING = "manifest.json"
_LARGEST_LISTING_BYTES = 8 << 20
_READ_BYTES = 1 << 20


def write_layout(archive: tarfile.TarFile, layout: Path) -> None:
    """Write the archive's only image into an empty directory. Blocks.

    Raises:
        EngineFailedError: it is no archive of one image.
    """
    config, layers = _parse_listing(_open(archive, LISTING).read(_LARGEST_LISTING_BYTES))
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    manifest = format_manifest(
        Manifest(
            _copy(_open(archive, config), media.OCI_CONFIG, blobs),
            tuple(_copy(_open(archive, layer), media.OCI_LAYER, blobs) for layer in layers),
        )
    )
    entry = Descriptor(media.OCI_MANIFEST, Digest.of(manifest), len(manifest))
    (blobs / entry.digest.hex).write_bytes(manifest)
    (layout / "oci-layout").write_bytes(orjson.dumps({"imageLayoutVersion": "1.0.0"}))
    (layout / "index.json").write_bytes(format_manifest(Index((entry,))))


def _parse_listing(content: bytes) -> tuple[str, tuple[str, ...]]:
    """The names of the configuration and of the layers."""
    try:
        images: Any = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise _unusable(f"{LISTING} is not JSON: {error}") from error
    if not isinstance(images, list) or len(images) != 1:
        raise _unusable(f"{LISTING} lists {len(images) if isinstance(images, list) else 'no'} images, expected one")
    problems: list[str] = []
    image = Fields.of(images[0], LISTING, problems)
    config, layers = image.text("Config", required=True), image.texts("Layers")
    if problems:
        raise _unusable("; ".join(problems))
    return config, layers


def _open(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    try:
        member = archive.getmember(name)
        if member.issym():
            member = archive.getmember(posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname)))
    except KeyError as error:
        raise _unusable(f"it lacks {name}") from error
    content = archive.extractfile(member) if member.isfile() else None
    if content is None:
        raise _unusable(f"{name} is no file")
    return content


def _copy(source: IO[bytes], media_type: str, blobs: Path) -> Descriptor:
    hasher = hashlib.sha256()
    unnamed = blobs / "incoming"
    with source, unnamed.open("wb") as file:
        while chunk := source.read(_READ_BYTES):
            hasher.update(chunk)
            file.write(chunk)
        size = file.tell()
    unnamed.replace(blobs / hasher.hexdigest())
    return Descriptor(media_type, Digest("sha256", hasher.hexdigest()), size)


def _unusable(problem: str) -> EngineFailedError:
    return EngineFailedError(f"archive of docker cannot be used (EngineFailed): {problem}")
