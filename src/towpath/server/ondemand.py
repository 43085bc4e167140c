"""The heavy parts of a build by hand, loaded and opened by the first call that needs them.

`towpath build` is mostly typed where nothing, or one file, has changed: it then needs no registry, no engine, and often
no builder. Importing them takes longer than such a build, so whoever wires these gives functions that import.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from towpath.build.bases import Bases
from towpath.build.cache import LayerCache
from towpath.build.image import BuildRequest, BuiltImage
from towpath.build.index import BuiltIndex
from towpath.build.recall import Recall
from towpath.build.registry import BaseRegistry, OnSent, RemoteImage, ignore_sent
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.platform import Platform
from towpath.oci.reference import Reference

if TYPE_CHECKING:
    from towpath.build.builder import Builder, DockerfileImages
    from towpath.ociclient.client import RegistryClient

LinesOf = Callable[[str], Callable[[str], None]]


class RegistryOnDemand:
    """`build.registry.AttestationRegistry` over a client that is opened by the first question."""

    def __init__(self, opening: Callable[[], Awaitable["RegistryClient"]]) -> None:
        self._opening = opening
        self._lock = asyncio.Lock()
        self._client: RegistryClient | None = None

    async def client(self) -> "RegistryClient":
        """The client itself. Raises what opening it raises."""
        async with self._lock:
            if self._client is None:
                self._client = await self._opening()
            return self._client

    async def close(self) -> None:
        """Close the client, if there is one."""
        if self._client is not None:
            await self._client.close()

    async def image(self, ref: Reference, platform: Platform, /) -> RemoteImage:
        """The image for a platform."""
        return await (await self.client()).image(ref, platform)

    async def blob(self, ref: Reference, descriptor: Descriptor, /) -> AsyncIterator[bytes]:
        """A blob's bytes."""
        async with aclosing((await self.client()).blob(ref, descriptor)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def resolve(self, ref: Reference, /) -> Descriptor:
        """What a reference stands for."""
        return await (await self.client()).resolve(ref)

    async def referrers(self, ref: Reference, /) -> Sequence[Descriptor]:
        """What is attached to the reference's digest."""
        return await (await self.client()).referrers(ref)

    async def push_blob(
        self,
        ref: Reference,
        descriptor: Descriptor,
        open_blob: Callable[[], AsyncIterator[bytes]],
        /,
        *,
        mount_from: str = "",
    ) -> bool:
        """Upload a blob."""
        return await (await self.client()).push_blob(ref, descriptor, open_blob, mount_from=mount_from)

    async def push_manifest(self, ref: Reference, raw: bytes, media_type: str, /) -> Digest:
        """Put a manifest."""
        return await (await self.client()).push_manifest(ref, raw, media_type)


class DockerfilesOnDemand:
    """`build.builder.DockerfileImages`, made for the first Dockerfile."""

    def __init__(self, make: Callable[[], "DockerfileImages"]) -> None:
        self._make = make
        self._made: DockerfileImages | None = None

    async def build(self, request: BuildRequest, dockerfile: str, /) -> BuiltImage:
        """Build one."""
        if self._made is None:
            self._made = self._make()
        return await self._made.build(request, dockerfile)


class BuilderOnDemand:
    """`ci_adapters.ImageWorks`: looks up by itself, and makes the builder for what was not built before.

    It is made in a thread as soon as a look-up finds nothing, while what is to be built is still being exported.
    """

    def __init__(self, cache: LayerCache, registry: BaseRegistry, make: Callable[[], "Builder"]) -> None:
        self._recall = Recall(cache, Bases(cache, registry))
        self._make = make
        self._making: asyncio.Task[Builder] | None = None

    async def find(self, request: BuildRequest, /) -> BuiltImage | None:
        """The image of a tree that was built before."""
        found = await self._recall.find(request)
        if found is None:
            self._begin()
        return found

    async def build(self, request: BuildRequest, /) -> BuiltImage:
        """Build an image."""
        return await (await self._builder()).build(request)

    async def push(
        self, image: BuiltImage | BuiltIndex, reference: Reference, /, *, on_sent: OnSent = ignore_sent
    ) -> bool:
        """Put an image into a registry."""
        return await (await self._builder()).push(image, reference, on_sent=on_sent)

    async def _builder(self) -> "Builder":
        return await asyncio.shield(self._begin())

    def _begin(self) -> "asyncio.Task[Builder]":
        if self._making is None:
            self._making = asyncio.create_task(asyncio.to_thread(self._make))
        return self._making
