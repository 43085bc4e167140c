"""The daemonless builder: from a service's directory to an image in a registry.

Two keys make an unchanged service free. The metadata key (names, sizes, times) recognises a directory as it was; the
tree key (Git's tree id, or the content itself) recognises the same content anywhere. Each leads to a written layer;
configuration and manifest are then composed in memory. A metadata key is only kept for files that had been left alone
for a while, because a write within the resolution of the file system's clock would go unseen.

Layers are written in threads; several builds, and several builders on one cache, may run at once. What can be built and
how it starts: `image`; what goes into a layer: `context`; the bases: `host_base`, `remote_base`.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from towpath.aio.clock import Clock
from towpath.build.cache import LayerCache, cache_errors
from towpath.build.compression import compressor_name
from towpath.build.context import RACY_SECONDS, Context, content_key, read_context
from towpath.build.entries import BuildError
from towpath.build.host_base import HOST, prepare_host_base
from towpath.build.host_files import Interpreter
from towpath.build.image import (
    APP_DIRECTORY,
    Base,
    BuildRequest,
    BuiltImage,
    LayerBlob,
    compose_image,
    find_entrypoint,
)
from towpath.build.layer import Layer, write_layer
from towpath.build.parallel import run_all
from towpath.build.registry import BuildRegistry
from towpath.build.remote_base import pull_base
from towpath.errors import IntegrityError
from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.platform import Platform
from towpath.oci.reference import Reference
from towpath.ociclient.errors import PullCause, PullError

# Part of every layer key: raise it whenever the same directory would give another layer.
_LAYER_RULES = "1"
_REQUIREMENTS = "requirements.txt"
_PUSH_CHUNK_BYTES = 1 << 20
# An hour: the cache grows by kilobytes per build, and a sweep looks at every file.
_PRUNE_SECONDS = 3600.0


class Builder:
    """Builds and pushes the images of services."""

    def __init__(
        self, *, cache: Path, registry: BuildRegistry, clock: Clock, interpreter: Interpreter | None = None
    ) -> None:
        """Set up a builder.

        Args:
            cache: directory of the layer cache; created when missing.
            registry: the client for bases and pushes.
            clock: wall time decides what is too fresh to be trusted and when to prune.
            interpreter: what the base `host` is made of; the running one when not given.
        """
        self._cache = LayerCache(cache)
        self._registry = registry
        self._clock = clock
        self._interpreter = interpreter
        self._base_locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._host_base: Base | None = None
        # Where a base's layer was pushed to last, by registry and digest; as many as there are bases.
        self._homes: dict[tuple[str, Digest], str] = {}
        self._pruned_at = float("-inf")

    async def prepare(self, platform: Platform) -> None:
        """Make the base `host` ahead of the first build.

        Raises:
            BuildError: it cannot be made on this machine.
            CacheError: no space, or no permission.
        """
        await asyncio.to_thread(self._cache.prepare)
        await self._get_base(HOST, platform)

    async def build(self, request: BuildRequest) -> BuiltImage:
        """Build a service's image; nothing of it reaches a registry yet.

        Raises:
            BuildError: the directory or the blueprint's entry cannot become an image.
            BaseUnavailableError: the base cannot be pulled.
            CacheError: no space, or no permission.
        """
        await asyncio.to_thread(self._cache.prepare)
        base = await self._get_base(request.service.base, request.platform)
        context = await asyncio.to_thread(read_context, request.context, label=request.service.path)
        entrypoint = find_entrypoint(request.service, context.names())
        warnings = await asyncio.to_thread(_check_requirements, request, context)
        layer, cached = await asyncio.to_thread(self._get_layer, context, request)
        blob = LayerBlob(Descriptor(media.OCI_LAYER_GZIP, layer.digest, layer.size), self._cache.path(layer.digest))
        image = compose_image(request, base, blob, layer.diff_id, entrypoint)
        await self._prune()
        return replace(image, cached=cached, warnings=warnings)

    async def push(self, image: BuiltImage, reference: Reference) -> bool:
        """Put an image into a registry: under the reference's tag, or by digest alone; whether anything was sent.

        Raises:
            RemoteError: the registry cannot be reached or refuses.
            IntegrityError: a cached layer is damaged; it is forgotten, and building again mends it.
        """
        if not reference.tag and await self._is_pushed(image, reference):
            return False
        own = image.layers[-1]
        layers = [self._push_layer(reference, layer, shared=layer is not own) for layer in image.layers]
        await run_all([*layers, self._push_config(reference, image)])
        target = reference if reference.tag else reference.with_digest(image.digest)
        stored = await self._registry.push_manifest(target, image.manifest_raw, image.media_type)
        if stored != image.digest:
            raise IntegrityError(f"manifest of {target} was changed by the registry (DigestMismatch): got {stored}")
        return True

    async def _get_base(self, name: str, platform: Platform) -> Base:
        # One at a time for each base: services built side by side would otherwise make or pull the same one twice.
        async with self._base_locks[name]:
            if name != HOST:
                return await pull_base(self._registry, self._cache, name, platform)
            base = self._host_base
            if base is None or not self._is_complete(base) or not base.config.platform.matches(platform):
                interpreter = self._interpreter or Interpreter.running()
                base = await asyncio.to_thread(prepare_host_base, self._cache, interpreter, platform)
                self._host_base = base
            return base

    def _is_complete(self, base: Base) -> bool:
        return all(self._cache.has(layer.descriptor.digest, layer.descriptor.size) for layer in base.layers)

    def _get_layer(self, context: Context, request: BuildRequest) -> tuple[Layer, bool]:
        """The service's layer and whether it was there already. Blocks."""
        rules = f"layer {_LAYER_RULES} {compressor_name()}"
        metadata = f"{rules} metadata {request.context.resolve()} {context.metadata_key}"
        # A directory with a tree id is an export, made a moment ago: only its tree can be recognised.
        layer = None if request.tree_id else self._cache.find(metadata)
        if layer is not None:
            return layer, True
        content = f"{rules} tree {request.tree_id or content_key(context)}"
        layer = self._cache.find(content)
        cached = layer is not None
        if layer is None:
            entries = [replace(entry, path=f"{APP_DIRECTORY}/{entry.path}") for entry in context.entries]
            with cache_errors(self._cache.blobs):
                layer = write_layer(entries, self._cache.blobs)
            self._cache.put(content, layer)
        if not request.tree_id and self._clock.now() - context.newest_change > RACY_SECONDS:
            self._cache.put(metadata, layer)
        return layer, cached

    async def _is_pushed(self, image: BuiltImage, reference: Reference) -> bool:
        try:
            await self._registry.resolve(reference.with_digest(image.digest))
        except PullError as error:
            if error.cause is PullCause.NOT_FOUND:
                return False
            raise
        return True

    async def _push_layer(self, reference: Reference, layer: LayerBlob, *, shared: bool) -> None:
        def open_layer() -> AsyncIterator[bytes]:
            return self._read_layer(layer)

        # A base's layer is in the registry already when another service has it: mounted, not sent.
        home = (reference.registry, layer.descriptor.digest)
        source = self._homes.get(home, "")
        mount = source if source != reference.repository else ""
        await self._registry.push_blob(reference, layer.descriptor, open_layer, mount_from=mount)
        if shared:
            self._homes[home] = reference.repository

    async def _push_config(self, reference: Reference, image: BuiltImage) -> None:
        async def open_config() -> AsyncIterator[bytes]:
            yield image.config_raw

        await self._registry.push_blob(reference, image.config_descriptor, open_config)

    async def _read_layer(self, layer: LayerBlob) -> AsyncIterator[bytes]:
        """The bytes of a cached layer; hashed on the way, for a cache may rot."""
        expected = layer.descriptor.digest
        hasher = expected.hasher()
        try:
            with layer.path.open("rb", buffering=0) as file:
                while chunk := await asyncio.to_thread(file.read, _PUSH_CHUNK_BYTES):
                    await asyncio.to_thread(hasher.update, chunk)
                    yield chunk
        except FileNotFoundError as error:
            raise IntegrityError(f"layer {expected} is gone from the build cache (CacheMissing)") from error
        if hasher.hexdigest() != expected.hex:
            self._cache.discard(expected)
            raise IntegrityError(f"layer {expected} is damaged in the build cache (DigestMismatch)")

    async def _prune(self) -> None:
        if self._clock.monotonic() - self._pruned_at > _PRUNE_SECONDS:
            self._pruned_at = self._clock.monotonic()
            await asyncio.to_thread(self._cache.prune, self._clock.now())


def _check_requirements(request: BuildRequest, context: Context) -> tuple[str, ...]:
    """Warn or refuse when the service asks for packages that nothing would install."""
    if _REQUIREMENTS not in context.names():
        return ()
    try:
        lines = (request.context / _REQUIREMENTS).read_text(errors="replace").splitlines()
    except OSError as error:
        raise BuildError(f"{_REQUIREMENTS} cannot be read (ContextUnreadable): {error.strerror or error}") from error
    wanted = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not wanted:
        return ()
    name = request.service.name
    if request.service.base != HOST:
        return (f"{_REQUIREMENTS} is not installed: base {request.service.base} must bring what it lists",)
    raise BuildError(
        f"service {name} needs packages (RequirementsUnsupported): {_REQUIREMENTS} lists {len(wanted)}, "
        "and base host has the standard library only",
        hint=f"put pure Python packages into {request.service.path}, or set services.{name}.base to an image with them",
    )
