"""Remembers what a tree of Git was built into, so that building it again neither exports nor reads it.

What is laid upon a base follows from the tree, the service's settings, the base and the rules of this version: the
record has the first two in its key and the others in it, beside the layers, and counts only while all of them hold and
the layers are whole. Configuration and manifest are composed anew: they name the commit.

Dockerfiles are never remembered: what their steps fetch is in no tree.
"""

import asyncio
from typing import Any

from towpath import __version__
from towpath.build.bases import Bases
from towpath.build.cache import LayerCache
from towpath.build.compression import compressor_name
from towpath.build.image import (
    AddedLayer,
    Base,
    BuildRequest,
    BuiltImage,
    LayerBlob,
    LockedPackage,
    Parts,
    Start,
    compose,
)
from towpath.build.rules import LAYER_RULES, PACKAGE_RULES, RECIPE_RULES
from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.syntax import InvalidTextError

# Of the record itself.
_FORMAT = "1"


class Recall:
    """What was built into one cache."""

    def __init__(self, cache: LayerCache, bases: Bases) -> None:
        self._cache = cache
        self._bases = bases

    async def find(self, request: BuildRequest) -> BuiltImage | None:
        """The image of a tree that was built before; None when it was not, or something of it changed or is gone.

        The directory of the request need not exist.

        Raises:
            RemoteError: the base is in a registry that cannot be asked.
            BuildError: the base cannot be made on this machine.
            CacheError: no space, or no permission.
        """
        if not request.tree_id:
            return None
        document = await asyncio.to_thread(self._cache.find_record, _key(request))
        if not document or document.get("rules") != _rules():
            return None
        base = await self._bases.get(request.service.base, request.platform)
        if document.get("base") != _identity(base):
            return None
        parts = await asyncio.to_thread(self._read, document)
        return None if parts is None else compose(request, base, parts)

    def keep(self, request: BuildRequest, base: Base, parts: Parts) -> None:
        """Remember what was built. Blocks. Raises CacheError."""
        if request.tree_id:
            self._cache.put_record(_key(request), _format(base, parts))

    def _read(self, document: dict[str, Any]) -> Parts | None:
        """What a record says, if its layers are whole. Blocks."""
        try:
            parts = _parse(document, self._cache)
        except (KeyError, ValueError, TypeError, InvalidTextError):
            return None
        layers = [layer.blob.descriptor for layer in parts.added]
        return parts if all(self._cache.has(layer.digest, layer.size) for layer in layers) else None


def _key(request: BuildRequest) -> str:
    return f"tree {request.tree_id} {request.platform} {request.service!r}"


def _rules() -> str:
    return f"{_FORMAT} {__version__} {LAYER_RULES} {PACKAGE_RULES} {RECIPE_RULES} {compressor_name()}"


def _identity(base: Base) -> list[str]:
    layers = [str(layer.descriptor.digest) for layer in base.layers]
    return [base.name, str(base.digest or ""), str(Digest.of(base.config_raw)), *layers]


def _format(base: Base, parts: Parts) -> dict[str, Any]:
    """The inverse of `_parse`."""
    start = parts.start
    return {
        "rules": _rules(),
        "base": _identity(base),
        "added": [
            {
                "diffID": str(layer.diff_id),
                "digest": str(layer.blob.descriptor.digest),
                "size": layer.blob.descriptor.size,
                "shared": layer.blob.shared,
                "createdBy": layer.created_by,
            }
            for layer in parts.added
        ],
        "start": [start.entrypoint, start.working_dir, start.import_path, start.program_path],
        "packages": [[package.name, package.version, package.hashes] for package in parts.packages],
        "lock": parts.lock,
        "warnings": parts.warnings,
    }


def _parse(document: dict[str, Any], cache: LayerCache) -> Parts:
    """Raises KeyError, ValueError, TypeError and InvalidTextError."""
    entrypoint, working_dir, import_path, program_path = document["start"]
    packages = (LockedPackage(name, version, tuple(hashes)) for name, version, hashes in document["packages"])
    return Parts(
        added=tuple(_parse_layer(layer, cache) for layer in document["added"]),
        start=Start(tuple(entrypoint), working_dir, tuple(import_path), tuple(program_path)),
        cached=True,
        packages=tuple(packages),
        lock=document["lock"],
        warnings=tuple(document["warnings"]),
    )


def _parse_layer(document: dict[str, Any], cache: LayerCache) -> AddedLayer:
    digest = Digest.parse(document["digest"])
    descriptor = Descriptor(media.OCI_LAYER_GZIP, digest, int(document["size"]))
    blob = LayerBlob(descriptor, cache.path(digest), shared=bool(document["shared"]))
    return AddedLayer(blob, Digest.parse(document["diffID"]), str(document["createdBy"]))
