"""Puts built images into a registry: what is there is not sent, what another repository has is mounted.

An image is whole before anything names it: blobs first, then its manifest; an index after its images. One HEAD tells
that there is nothing to do. Where a shared layer (a base's, a lock's) was pushed or pulled before is remembered with
the cache, so that the next service mounts it from there.
"""

import asyncio
from collections.abc import AsyncIterator

from towpath.build.cache import LayerCache
from towpath.build.image import BuiltImage, LayerBlob
from towpath.build.index import BuiltIndex
from towpath.build.parallel import run_all
from towpath.build.registry import ImageRegistry, OnSent, ignore_sent
from towpath.errors import IntegrityError
from towpath.oci.reference import Reference
from towpath.ociclient.errors import PullError

_CHUNK_BYTES = 1 << 20


class Pusher:
    """Pushes from one cache to the registries of one client."""

    def __init__(self, cache: LayerCache, registry: ImageRegistry) -> None:
        self._cache = cache
        self._registry = registry

    async def push(
        self, image: BuiltImage | BuiltIndex, reference: Reference, *, on_sent: OnSent = ignore_sent
    ) -> bool:
        """Put an image under the reference's tag, or by digest alone; whether anything was sent.

        Args:
            image: the image.
            reference: a repository, with a tag or without.
            on_sent: told the bytes of layers as they leave.

        Raises:
            RemoteError: the registry cannot be reached or refuses.
            IntegrityError: a cached layer is damaged; it is forgotten, and building again mends it.
        """
        if await self._is_there(image, reference):
            return False
        if isinstance(image, BuiltIndex):
            for one in image.images:
                await self.push(one, _bare(reference), on_sent=on_sent)
        else:
            layers = [self._push_layer(reference, layer, on_sent) for layer in image.layers]
            await run_all([*layers, self._push_config(reference, image)])
        target = reference if reference.tag else reference.with_digest(image.digest)
        stored = await self._registry.push_manifest(target, image.manifest_raw, image.media_type)
        if stored != image.digest:
            raise IntegrityError(f"manifest of {target} was changed by the registry (DigestMismatch): got {stored}")
        return True

    async def _is_there(self, image: BuiltImage | BuiltIndex, reference: Reference) -> bool:
        """Registries keep what a manifest names: one that is there has all its blobs."""
        asked = reference if reference.tag else reference.with_digest(image.digest)
        try:
            return (await self._registry.resolve(asked)).digest == image.digest
        except PullError as error:
            if error.may_be_absent:
                return False
            raise

    async def _push_layer(self, reference: Reference, layer: LayerBlob, on_sent: OnSent) -> None:
        def open_layer() -> AsyncIterator[bytes]:
            return self._read_layer(layer, on_sent)

        mount = await asyncio.to_thread(self._find_home, reference, layer) if layer.shared else ""
        await self._registry.push_blob(reference, layer.descriptor, open_layer, mount_from=mount)
        if layer.shared and not mount:
            key = _home_key(reference.registry, layer)
            await asyncio.to_thread(self._cache.put_record, key, {"repository": reference.repository})

    def _find_home(self, reference: Reference, layer: LayerBlob) -> str:
        """A repository of the same registry that may have the layer; empty when none is known. Blocks."""
        registry, _, repository = layer.home.partition("/")
        if registry != reference.registry:
            repository = str(self._cache.find_record(_home_key(reference.registry, layer)).get("repository", ""))
        return repository if repository != reference.repository else ""

    async def _push_config(self, reference: Reference, image: BuiltImage) -> None:
        async def open_config() -> AsyncIterator[bytes]:
            yield image.config_raw

        await self._registry.push_blob(reference, image.config_descriptor, open_config)

    async def _read_layer(self, layer: LayerBlob, on_sent: OnSent) -> AsyncIterator[bytes]:
        """The bytes of a cached layer; hashed on the way, for a cache may rot."""
        expected = layer.descriptor.digest
        hasher = expected.hasher()
        try:
            with layer.path.open("rb", buffering=0) as file:
                while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
                    await asyncio.to_thread(hasher.update, chunk)
                    yield chunk
                    on_sent(len(chunk))
        except FileNotFoundError as error:
            raise IntegrityError(f"layer {expected} is gone from the build cache (CacheMissing)") from error
        if hasher.hexdigest() != expected.hex:
            self._cache.discard(expected)
            raise IntegrityError(f"layer {expected} is damaged in the build cache (DigestMismatch)")


def _bare(reference: Reference) -> Reference:
    return Reference(reference.registry, reference.repository)


def _home_key(registry: str, layer: LayerBlob) -> str:
    return f"home {registry} {layer.descriptor.digest}"
