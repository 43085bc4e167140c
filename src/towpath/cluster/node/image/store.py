"""Images ready to run: pulled by digest, layers unpacked, everything unused pruned.

An image that is present starts without any network, but only for pods that have credentials with which it was pulled
before: what is private in its registry is private on the node. A tag is resolved with one HEAD.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from pathlib import Path
from typing import Protocol

from towpath.aio.clock import Clock
from towpath.cluster.node.image.catalogue import Catalogue, LocalImage
from towpath.cluster.node.image.layers import Layer, LayerStore
from towpath.cluster.node.image.policy import credential_marks, is_accessible
from towpath.cluster.node.image.rootfs import Rootfs, chain_id, copy_root
from towpath.cluster.node.image.tarball import LayerError
from towpath.oci.descriptor import Descriptor
from towpath.oci.image import ImageConfig
from towpath.oci.keyring import Keyring
from towpath.oci.manifest import Manifest
from towpath.oci.platform import Platform
from towpath.oci.reference import Reference

# 3: containerd's default of concurrent layer downloads.
CONCURRENT_LAYERS = 3
# 8: as many registries or secrets as a homelab has; each idle client keeps a connection or two.
MOST_SOURCES = 8
# 6: a rollback to any of the last few versions needs no download.
SPARE_IMAGES = 6


class RemoteImage(Protocol):
    """What a source says of an image."""

    @property
    def manifest(self) -> Manifest:
        """The manifest for this platform."""
        ...

    @property
    def config(self) -> ImageConfig:
        """Its configuration."""
        ...


class ImageSource(Protocol):
    """Where images come from, with one pod's credentials; `ociclient.RegistryClient` is one. Raises `PullError`."""

    async def resolve(self, reference: Reference) -> Descriptor:
        """What the reference means at this moment: one HEAD."""
        ...

    async def image(self, reference: Reference, platform: Platform) -> RemoteImage:
        """The manifest (an index is walked to the platform's) and the configuration."""
        ...

    def blob(self, reference: Reference, descriptor: Descriptor) -> AsyncIterator[bytes]:
        """The content of a blob."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class ImageStore:
    """The images of this node."""

    def __init__(
        self, directory: Path, *, sources: Callable[[Keyring], ImageSource], platform: Platform, clock: Clock
    ) -> None:
        """Open the store and remove what a crash left behind.

        Args:
            directory: `images/`, `layers/` and `rootfs/` are made in it.
            sources: makes a source that pulls with a keyring.
            platform: of this machine.
            clock: wall time, for the order of use.
        """
        self._catalogue = Catalogue(directory / "images")
        self._layers = LayerStore(directory / "layers")
        self._rootfs = Rootfs(directory / "rootfs")
        self._make_source = sources
        self._sources: OrderedDict[Keyring, ImageSource] = OrderedDict()
        self._platform = platform
        self._clock = clock

    def find(self, reference: Reference) -> LocalImage | None:
        """The image a reference means on this node, if it is complete here."""
        image = self._catalogue.find(reference)
        return self._catalogue.touch(image, now=self._clock.now()) if image and self._is_complete(image) else None

    async def pull(self, reference: Reference, keyring: Keyring) -> LocalImage:
        """The image a reference means in its registry, complete on this node.

        Raises:
            PullError: the registry's answer.
            LayerError: what came is damaged or refused.
            InvalidDocumentError: manifest or configuration make no sense.
            OSError: no space.
        """
        source = await self._source(keyring)
        descriptor = await source.resolve(reference)
        image = self._catalogue.find_digest(reference, descriptor.digest)
        if image is None or not self._is_complete(image):
            pinned = reference.with_digest(descriptor.digest)
            remote = await source.image(pinned, self._platform)
            await self._fetch_layers(source, pinned, remote)
            config, size = remote.config, descriptor.size + sum(blob.size for blob in remote.manifest.blobs)
        else:
            config, size = image.config, image.size
        added = self._catalogue.add(reference, descriptor.digest, config, now=self._clock.now(), size=size)
        return self._catalogue.grant(added, _marks(added, reference, keyring))

    def is_accessible(self, image: LocalImage, reference: Reference, keyring: Keyring) -> bool:
        """Whether who has this keyring may use an image that someone pulled, without asking its registry."""
        return is_accessible(image.granted, _marks(image, reference, keyring))

    async def roots(self, image: LocalImage) -> list[Path]:
        """The directories to stack for a sandbox, lowest first. Raises LayerError, OSError."""
        layers = self._get_layers(image)
        if not any(layer.hides for layer in layers):
            return self._rootfs.prepare(layers)
        return await asyncio.to_thread(self._rootfs.prepare, layers)

    async def copy_root(self, image: LocalImage, target: Path, *, writable: bool) -> None:
        """Make `target` a root file system of one container's own. Raises LayerError, OSError."""
        await asyncio.to_thread(copy_root, self._get_layers(image), target, writable=writable)

    async def prune(self, in_use: Collection[str]) -> list[LocalImage]:
        """Remove images beyond those in use (by image id) and a few spare ones, with the layers only they had."""
        forgotten = self._catalogue.prune(in_use=in_use, spare=SPARE_IMAGES)
        if forgotten:
            kept = list(self._catalogue)
            chains = {chain_id([Layer(diff_id, Path()) for diff_id in image.config.diff_ids]) for image in kept}
            await asyncio.to_thread(self._rootfs.prune, chains)
            await asyncio.to_thread(
                self._layers.prune, {diff_id for image in kept for diff_id in image.config.diff_ids}
            )
        return forgotten

    async def close(self) -> None:
        """Stop downloads and let go of connections."""
        await self._layers.close()
        for source in self._sources.values():
            await source.close()
        self._sources.clear()

    async def _source(self, keyring: Keyring) -> ImageSource:
        source = self._sources.get(keyring)
        if source is None:
            source = self._sources[keyring] = self._make_source(keyring)
        self._sources.move_to_end(keyring)
        while len(self._sources) > MOST_SOURCES:
            _, oldest = self._sources.popitem(last=False)
            await oldest.close()
        return source

    async def _fetch_layers(self, source: ImageSource, reference: Reference, remote: RemoteImage) -> None:
        layers, diff_ids = remote.manifest.layers, remote.config.diff_ids
        if len(layers) != len(diff_ids):
            raise LayerError(
                f"image {reference} is inconsistent (Layers): its manifest has {len(layers)} layers, "
                f"its configuration {len(diff_ids)}"
            )
        slots = asyncio.Semaphore(CONCURRENT_LAYERS)

        async def fetch(position: int) -> None:
            async with slots:
                await self._layers.ensure(
                    diff_ids[position], layers[position], lambda: source.blob(reference, layers[position])
                )

        tasks = [asyncio.create_task(fetch(position)) for position in range(len(layers))]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(*tasks, return_exceptions=True)

    def _is_complete(self, image: LocalImage) -> bool:
        return all(self._layers.find(diff_id) for diff_id in image.config.diff_ids)

    def _get_layers(self, image: LocalImage) -> Sequence[Layer]:
        found = [(diff_id, self._layers.find(diff_id)) for diff_id in image.config.diff_ids]
        missing = [diff_id for diff_id, layer in found if layer is None]
        if missing:
            raise LayerError(f"image {image.image_id} is incomplete (LayerMissing): {missing[0]} was removed")
        return [layer for _, layer in found if layer is not None]


def _marks(image: LocalImage, reference: Reference, keyring: Keyring) -> frozenset[str]:
    return credential_marks(keyring, reference, salt=str(image.digest))
