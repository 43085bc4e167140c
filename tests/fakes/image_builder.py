"""An image builder behind `ci.ports.ImageBuilder`: makes tiny real images, remembers what it built, fails on demand."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial

from fakes.memory_registry import MemoryRegistry
from towpath.ci.ports import BuildJob, PendingImage
from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.image import ImageConfig, format_image_config
from towpath.oci.manifest import Manifest, format_manifest
from towpath.oci.platform import Platform
from towpath.oci.reference import Reference

REVISION = "org.opencontainers.image.revision"


@dataclass
class FakePendingImage:
    """A manifest, its configuration and one layer that is the service's only file."""

    registry: MemoryRegistry
    layer: bytes
    config: bytes
    cached: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def manifest(self) -> bytes:
        return format_manifest(
            Manifest(
                Descriptor(media.OCI_CONFIG, Digest.of(self.config), len(self.config)),
                (Descriptor(media.OCI_LAYER, Digest.of(self.layer), len(self.layer)),),
            )
        )

    @property
    def descriptor(self) -> Descriptor:
        return Descriptor(media.OCI_MANIFEST, Digest.of(self.manifest), len(self.manifest))

    @property
    def size(self) -> int:
        return len(self.layer) + len(self.config) + len(self.manifest)

    async def push(self, repository: Reference, *, on_sent: Callable[[int], None] = lambda _count: None) -> None:
        for content in (self.layer, self.config):
            descriptor = Descriptor(media.OCI_LAYER, Digest.of(content), len(content))
            if await self.registry.push_blob(repository, descriptor, partial(_one, content)):
                on_sent(len(content))
        await self.registry.push_manifest(
            repository.with_digest(self.descriptor.digest), self.manifest, media.OCI_MANIFEST
        )


@dataclass
class FakeImageBuilder:
    """`built` lists service and commit; `failures` by service; `gates` hold a build of a commit until they are set.

    `remembered` are contents by service and tree, as built before; `forgetful` services fail to be looked up.
    """

    registry: MemoryRegistry
    built: list[tuple[str, str]] = field(default_factory=list)
    failures: dict[str, Exception] = field(default_factory=dict)
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    running: int = 0
    most_running: int = 0
    remembered: dict[tuple[str, str], bytes] = field(default_factory=dict)
    forgetful: dict[str, Exception] = field(default_factory=dict)
    key: bool = False
    unusable_key: Exception | None = None
    signed: set[tuple[str, Digest | None]] = field(default_factory=set)

    async def find(self, job: BuildJob) -> FakePendingImage | None:
        if job.service.name in self.forgetful:
            raise self.forgetful[job.service.name]
        content = self.remembered.get((job.service.name, job.tree_id))
        return None if content is None else self._image(job, content, cached=True)

    async def signs(self) -> bool:
        return self.key

    async def is_signed(self, image: Reference) -> bool:
        self.registry.before(f"referrers {image}")
        return not self.key or (image.repository, image.digest) in self.signed

    async def sign(self, image: PendingImage, repository: Reference) -> bool:
        if self.unusable_key is not None:
            raise self.unusable_key
        if self.key:
            self.signed.add((repository.repository, image.descriptor.digest))
        return self.key

    async def build(self, job: BuildJob) -> FakePendingImage:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.sleep(0)
            if job.commit in self.gates:
                await self.gates[job.commit].wait()
            if job.service.name in self.failures:
                raise self.failures[job.service.name]
            content = (job.context / "main.py").read_bytes()
        finally:
            self.running -= 1
        self.built.append((job.service.name, job.commit))
        return self._image(job, content)

    def _image(self, job: BuildJob, content: bytes, *, cached: bool = False) -> FakePendingImage:
        config = ImageConfig(Platform("linux", "amd64"), labels={REVISION: job.commit}, diff_ids=(Digest.of(content),))
        return FakePendingImage(self.registry, content, format_image_config(config), cached)


async def _one(content: bytes) -> AsyncIterator[bytes]:
    yield content
