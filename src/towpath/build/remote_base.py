"""A base from a registry: pulled by digest, kept in the cache, never recompressed, its history untouched.

A reference with a tag alone is resolved at every build and the digest recorded in the image's labels; one with a digest
is taken from the cache without any network once it was pulled. Layers keep their bytes and digests; Docker's media type
for a gzip layer is written as OCI's, which names the same coding, because one manifest must not mix the two.
"""

import asyncio
import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from towpath.build.cache import TEMPORARY_PREFIX, LayerCache, cache_errors
from towpath.build.entries import BuildError
from towpath.build.image import Base, LayerBlob
from towpath.build.parallel import run_all
from towpath.build.registry import BaseRegistry
from towpath.errors import IntegrityError, RemoteError
from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.fields import InvalidDocumentError
from towpath.oci.image import parse_image_config
from towpath.oci.platform import Platform
from towpath.oci.reference import Reference
from towpath.oci.syntax import InvalidTextError

# Three at a time: what container engines do by default; more gains nothing from one registry.
_PARALLEL_PULLS = 3
# A configuration is some kilobytes; a megabyte is a mistake or an attack.
_CONFIG_LIMIT_BYTES = 1 << 20
_OCI_LAYER_TYPES = {media.DOCKER_LAYER_GZIP: media.OCI_LAYER_GZIP}


class BaseUnavailableError(RemoteError):
    """A base cannot be had from its registry."""


async def pull_base(registry: BaseRegistry, cache: LayerCache, name: str, platform: Platform) -> Base:
    """The base that a reference names, complete on this disk.

    Raises:
        BuildError: `name` is no reference, or the image is for another platform.
        BaseUnavailableError: the registry cannot be reached, refuses, has no such image, or sends wrong bytes.
        CacheError: no space, or no permission.
    """
    try:
        reference = Reference.parse(name)
    except InvalidTextError as error:
        raise BuildError(
            f"base {name} is no image reference (BaseInvalid): {error.problem}",
            hint=error.hint or "write registry/repository:tag or registry/repository@sha256:…, or host",
        ) from error
    if reference.digest is not None:
        base = _find_cached(cache, name, reference.digest, platform)
        if base is not None:
            return base
    try:
        return await _pull(registry, cache, reference, name=name, platform=platform)
    except (RemoteError, IntegrityError, InvalidDocumentError) as error:
        raise BaseUnavailableError(
            f"base {name} cannot be pulled (BaseUnavailable): {error.message}",
            hint=error.hint or "a base pinned by digest is pulled once and needs no registry afterwards",
        ) from error


async def _pull(
    registry: BaseRegistry, cache: LayerCache, reference: Reference, *, name: str, platform: Platform
) -> Base:
    image = await registry.image(reference, platform)
    config_raw = await _read_config(registry, reference, image.manifest.config)
    layers = image.manifest.layers
    base = _compose(cache, name, reference.digest or image.descriptor.digest, layers, config_raw)
    _check_platform(base, platform)
    gate = asyncio.Semaphore(_PARALLEL_PULLS)
    await run_all(_pull_layer(registry, cache, reference, layer, gate) for layer in layers)
    if reference.digest is not None:
        document = {"layers": [layer.to_json() for layer in layers], "config": config_raw.decode()}
        await asyncio.to_thread(cache.put_record, _key(reference.digest, platform), document)
    return base


async def _pull_layer(
    registry: BaseRegistry, cache: LayerCache, reference: Reference, layer: Descriptor, gate: asyncio.Semaphore
) -> None:
    async with gate:
        if cache.has(layer.digest, layer.size):
            return
        with cache_errors(cache.blobs):
            handle, temporary = tempfile.mkstemp(dir=cache.blobs, prefix=TEMPORARY_PREFIX)
            try:
                with os.fdopen(handle, "wb") as file:
                    async for chunk in registry.blob(reference, layer):
                        await asyncio.to_thread(file.write, chunk)
                Path(temporary).replace(cache.path(layer.digest))
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise


async def _read_config(registry: BaseRegistry, reference: Reference, config: Descriptor) -> bytes:
    if config.size > _CONFIG_LIMIT_BYTES:
        raise IntegrityError(f"configuration has {config.size} bytes (TooLarge): at most {_CONFIG_LIMIT_BYTES}")
    return b"".join([chunk async for chunk in registry.blob(reference, config)])


def _find_cached(cache: LayerCache, name: str, digest: Digest, platform: Platform) -> Base | None:
    document = cache.find_record(_key(digest, platform))
    try:
        layers = [Descriptor.from_json(layer) for layer in document["layers"]]
        base = _compose(cache, name, digest, layers, document["config"].encode())
    except (KeyError, TypeError, AttributeError, InvalidDocumentError, IntegrityError):
        return None
    return base if all(cache.has(layer.digest, layer.size) for layer in layers) else None


def _compose(cache: LayerCache, name: str, digest: Digest, layers: Sequence[Descriptor], config_raw: bytes) -> Base:
    config = parse_image_config(config_raw)
    if len(config.diff_ids) != len(layers):
        raise IntegrityError(
            f"configuration names {len(config.diff_ids)} layers (LayerMismatch): the manifest has {len(layers)}"
        )
    blobs = [
        LayerBlob(
            replace(layer, media_type=_OCI_LAYER_TYPES.get(layer.media_type, layer.media_type)),
            cache.path(layer.digest),
            shared=True,
            home=Reference.parse(name).name,
        )
        for layer in layers
    ]
    return Base(name, digest, config, config_raw, tuple(blobs))


def _check_platform(base: Base, platform: Platform) -> None:
    offered = base.config.platform
    if not offered.matches(platform):
        raise BuildError(
            f"base {base.name} is for another platform (PlatformMismatch): expected {platform}, got {offered}",
            hint="name an image that is made for the nodes' platform",
        )


def _key(digest: Digest, platform: Platform) -> str:
    return f"base {digest} {platform}"
