"""Finds in a layer what an SBOM names: Python distributions, packages of Debian and Alpine, the parts of base `host`.

Reads a layer's tar once, front to back, without writing a file; only the few files that say something are looked into,
each up to a bound. What a layer holds never changes, so what was found is kept under its digest (`LayerCache`).
Files of earlier layers that a later one removes are still named: they are in the image all the same.

A layer in a coding that Python 3.11 cannot read (zstd) gives no components, and says so. Blocks; callers run it in a
thread.
"""

import gzip
import hashlib
import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from towpath.attest.components import Component, ComponentKind, python_purl
from towpath.build.cache import LayerCache
from towpath.build.os_packages import parse_apk_database, parse_dpkg_status, parse_os_release
from towpath.build.python_packages import parse_metadata
from towpath.oci import media
from towpath.oci.descriptor import Descriptor

# Part of the record's key: raise it whenever the same layer would give other components.
_RULES = "1"
# A package database is some megabytes; a METADATA file with a long description some hundred kilobytes.
_MOST_TEXT_BYTES = 64 << 20
_READ_BYTES = 1 << 20
_OS_RELEASES = frozenset({"etc/os-release", "usr/lib/os-release"})
_APK_DATABASE = "lib/apk/db/installed"
_DPKG_STATUS = "var/lib/dpkg/status"
_DPKG_STATUS_DIRECTORY = "var/lib/dpkg/status.d/"  # distroless images have one file a package
_INTERPRETER = re.compile(r"usr/local/bin/python(3\.\d+)")
_SHARED_LIBRARY = re.compile(r"(?:usr/)?lib(?:64|32)?/(?:[^/]+/)?[^/]+\.so(?:\.[\d.]+)?")
_LIBPYTHON = re.compile(r"libpython3\.\d+\.so")


class UnreadableLayerError(Exception):
    """A layer's coding cannot be read here."""


@dataclass(slots=True)
class Inventory:
    """What one layer holds.

    Attributes:
        components: in the order of the layer.
        readable: False when the layer could not be looked into.
        distribution: the name of the operating system's distribution, as in `debian-12`; empty when not said here.
    """

    components: list[Component] = field(default_factory=list)
    readable: bool = True
    distribution: str = ""


def take_inventory(cache: LayerCache, layer: Descriptor, path: Path, *, is_host: bool) -> Inventory:
    """What a layer holds, from the cache when it was looked into before. Blocks.

    Args:
        cache: keeps what was found.
        layer: its descriptor.
        path: the file with its bytes.
        is_host: whether it is the base `host`, whose parts no package database names.
    """
    key = f"inventory {_RULES} {layer.digest} {'host' if is_host else ''}"
    found = _from_record(cache.find_record(key))
    if found is None:
        try:
            found = read_layer(path, media.find_layer_compression(layer.media_type), is_host=is_host)
        except (UnreadableLayerError, tarfile.TarError, OSError, EOFError, zlib.error):
            return Inventory(readable=False)
        cache.put_record(key, _to_record(found))
    return found


def read_layer(path: Path, compression: str | None, *, is_host: bool) -> Inventory:
    """Look into a layer's file.

    Raises:
        UnreadableLayerError: its coding is not known here.
        OSError, tarfile.TarError, EOFError, zlib.error: its bytes cannot be read.
    """
    if compression not in {"", "gzip"}:
        raise UnreadableLayerError(compression)
    inventory = Inventory()
    with path.open("rb") as file:
        stream = gzip.GzipFile(fileobj=file) if compression else file
        with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r|") as archive:
            for member in archive:
                if member.isfile():
                    _look_into(archive, member, inventory, is_host=is_host)
    return inventory


def _look_into(archive: tarfile.TarFile, member: tarfile.TarInfo, inventory: Inventory, *, is_host: bool) -> None:
    name = member.name.removeprefix("./").lstrip("/")
    if name.endswith(".dist-info/METADATA"):
        inventory.components += _python_package(name, _read_text(archive, member))
    elif name in _OS_RELEASES:
        inventory.distribution = parse_os_release(_read_text(archive, member)) or inventory.distribution
    elif name == _DPKG_STATUS or (name.startswith(_DPKG_STATUS_DIRECTORY) and not name.endswith(".md5sums")):
        inventory.components += parse_dpkg_status(_read_text(archive, member))
    elif name == _APK_DATABASE:
        inventory.components += parse_apk_database(_read_text(archive, member))
    elif is_host and (_INTERPRETER.fullmatch(name) or _SHARED_LIBRARY.fullmatch(name)):
        inventory.components.append(_host_file(name, _read_pieces(archive, member)))


def _python_package(name: str, text: str) -> list[Component]:
    metadata = parse_metadata(text)
    if metadata is None:
        return []
    return [
        Component(
            kind=ComponentKind.LIBRARY,
            name=metadata.name,
            version=metadata.version,
            purl=python_purl(metadata.name, metadata.version),
            license=metadata.license,
            notes={"path": str(PurePosixPath(name).parent)},
        )
    ]


def _host_file(name: str, pieces: Iterator[bytes]) -> Component:
    """The interpreter, or a library; the interpreter's full version stands in its own bytes."""
    content = b"".join(pieces)
    hashes = (f"sha256:{hashlib.sha256(content).hexdigest()}",)
    notes = {"path": name}
    interpreter = _INTERPRETER.fullmatch(name)
    library = PurePosixPath(name).name
    if interpreter or _LIBPYTHON.match(library):
        version = _python_version(content)
        kind = ComponentKind.PLATFORM if interpreter else ComponentKind.LIBRARY
        purl = f"pkg:generic/python@{version}" if interpreter and version else ""
        return Component(kind, "python" if interpreter else library, version, purl, hashes, notes=notes)
    return Component(ComponentKind.LIBRARY, library, hashes=hashes, notes=notes)


def _python_version(content: bytes) -> str:
    # Not looked for at the start of a string: linkers put a text that is the end of another one into that one.
    found = re.search(rb"(?<![\d.])(3\.\d{1,2}\.\d{1,2}(?:(?:a|b|rc)\d{1,2})?\+?)\0", content)
    return found[1].decode() if found else ""


def _read_text(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    if member.size > _MOST_TEXT_BYTES:
        return ""
    return b"".join(_read_pieces(archive, member)).decode("utf-8", errors="replace")


def _read_pieces(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    file = archive.extractfile(member)
    while file is not None and (piece := file.read(_READ_BYTES)):
        yield piece


def _to_record(inventory: Inventory) -> dict[str, Any]:
    return {
        "components": [_component_record(one) for one in inventory.components],
        "distribution": inventory.distribution,
    }


def _component_record(component: Component) -> dict[str, Any]:
    record = asdict(component)
    del record["accepted"]  # a lock file's word, which no layer knows
    return record


def _from_record(document: dict[str, Any]) -> Inventory | None:
    try:
        components = [
            Component(**{**one, "kind": ComponentKind(one["kind"]), "hashes": tuple(one["hashes"])})
            for one in document["components"]
        ]
        return Inventory(components, distribution=str(document["distribution"]))
    except (KeyError, TypeError, ValueError):
        return None
