"""What a base from a registry has in it: its Python, its C library, the names of its files.

Read once for each base, from the names in its layers, and remembered under their digests. Only asked for where the
answer matters: packages must fit the base's Python, and a dynamic program needs the base's libraries.
"""

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from towpath.build.cache import LayerCache
from towpath.build.compression import open_gzip
from towpath.build.entries import BuildError
from towpath.build.image import Base, LayerBlob
from towpath.oci import media

_PYTHON = re.compile(r"(?P<path>(?:usr/local|usr|opt/[^/]+(?:/[^/]+)?)/bin/python3\.(?P<minor>\d+))")
_MUSL = re.compile(r"(?:usr/)?lib/ld-musl-[^/]+\.so\.1")
_GNU = re.compile(r"(?:.*/)?ld-linux[^/]*\.so\.\d")
_LIBRARY = re.compile(r"(?:.*/)?(?P<name>ld-[^/]+|[^/]+\.so(?:\.[0-9.]+)?)")


@dataclass(frozen=True, slots=True)
class BaseContents:
    """What counts of a base.

    Attributes:
        python: the path of its interpreter, `/usr/local/bin/python3.12`; empty when it has none.
        version: that interpreter's, as in `3.12`.
        libc: `gnu`, `musl`, or empty.
        libraries: the names of its shared libraries and loaders.
    """

    python: str
    version: str
    libc: str
    libraries: frozenset[str]


def read_contents(cache: LayerCache, base: Base) -> BaseContents:
    """Look through the layers of a base, or remember. Blocks: about a second for 150 MB.

    Raises:
        BuildError: a layer cannot be read.
        CacheError: no space, or no permission.
    """
    key = "contents 1 " + " ".join(str(layer.descriptor.digest) for layer in base.layers)
    found = _parse(cache.find_record(key))
    if found is None:
        found = _read(base)
        cache.put_record(
            key,
            {
                "python": found.python,
                "version": found.version,
                "libc": found.libc,
                "libraries": sorted(found.libraries),
            },
        )
    return found


def _read(base: Base) -> BaseContents:
    pythons: dict[str, str] = {}
    libraries: set[str] = set()
    libc = ""
    for name in (name for layer in base.layers for name in _names(base, layer)):
        if python := _PYTHON.fullmatch(name):
            pythons[python["path"]] = f"3.{python['minor']}"
        if library := _LIBRARY.fullmatch(name):
            libraries.add(library["name"])
        if _MUSL.fullmatch(name):
            libc = "musl"
        elif _GNU.fullmatch(name):
            libc = libc or "gnu"
    # /usr/local first: the interpreter that an image was made for, where the distribution has one of its own too.
    path = min(pythons, key=lambda path: (not path.startswith("usr/local"), path), default="")
    return BaseContents(f"/{path}" if path else "", pythons.get(path, ""), libc, frozenset(libraries))


def _names(base: Base, layer: LayerBlob) -> Iterator[str]:
    try:
        with _open(base, layer) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                if not member.isdir():
                    yield member.name.removeprefix("./").lstrip("/")
    except (OSError, EOFError, tarfile.TarError, ValueError) as error:
        raise BuildError(
            f"base {base.name} cannot be looked into (LayerUnreadable): layer {layer.descriptor.digest}: {error}",
            hint="name another image as the base, or delete the build cache",
        ) from error


def _open(base: Base, layer: LayerBlob) -> IO[bytes]:
    kind = layer.descriptor.media_type
    if kind in {media.OCI_LAYER_GZIP, media.DOCKER_LAYER_GZIP}:
        return open_gzip(layer.path)
    if kind == media.OCI_LAYER:
        return layer.path.open("rb")
    raise BuildError(
        f"base {base.name} cannot be looked into (LayerCoding): a layer is {kind}",
        hint="name an image whose layers are gzip: packages and dynamic programs must fit what is in it",
    )


def _parse(document: dict[str, Any]) -> BaseContents | None:
    try:
        return BaseContents(document["python"], document["version"], document["libc"], frozenset(document["libraries"]))
    except (KeyError, TypeError):
        return None
