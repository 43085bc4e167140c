"""What CI has images built by: adapters of `ci.ports` over the builder. What it reads the source by: `trees`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from towpath.build.image import BuildRequest, BuiltImage
from towpath.build.index import BuiltIndex, compose_index
from towpath.build.parallel import run_all
from towpath.build.registry import OnSent, ignore_sent
from towpath.ci.ports import BuildJob, PendingImage
from towpath.oci.descriptor import Descriptor
from towpath.oci.platform import Platform
from towpath.oci.reference import Reference
from towpath.oci.source import format_source


class ImageWorks(Protocol):
    """Whoever makes and sends images; `build.builder.Builder` satisfies it."""

    async def find(self, request: BuildRequest, /) -> BuiltImage | None:
        """The image of a tree that was built before."""
        ...

    async def build(self, request: BuildRequest, /) -> BuiltImage:
        """Build an image."""
        ...

    async def push(self, image: BuiltImage | BuiltIndex, reference: Reference, /, *, on_sent: OnSent) -> bool:
        """Put an image into a registry; whether anything was sent."""
        ...


class ImageAttestor(Protocol):
    """Whoever attests images; `build.attestations.Attestor` satisfies it."""

    async def signs(self) -> bool:
        """Whether there is a key."""
        ...

    async def is_signed(self, image: Reference, /) -> bool:
        """Whether the key, if there is one, has signed an image, named by digest."""
        ...

    async def attach(self, request: BuildRequest, image: BuiltImage, repository: Reference, /) -> tuple[str, ...]:
        """Attest an image in its repository; what a person should be warned of."""
        ...


@dataclass(slots=True)
class BuiltService:
    """`ci.ports.PendingImage` over built images, one a platform, which are attested on their way into the registry."""

    builder: ImageWorks
    images: tuple[tuple[BuildRequest, BuiltImage], ...]
    attestor: ImageAttestor | None = None
    unattested: tuple[str, ...] = ()

    @property
    def whole(self) -> BuiltImage | BuiltIndex:
        """What a tag is to name: the image, or the index over those of several platforms."""
        images = [image for _, image in self.images]
        return images[0] if len(images) == 1 else compose_index(images)

    @property
    def descriptor(self) -> Descriptor:
        """Of its manifest."""
        return self.whole.descriptor

    @property
    def cached(self) -> bool:
        """Whether its layers were there already."""
        return self.whole.cached

    @property
    def size(self) -> int:
        """Bytes of everything that a node pulls."""
        return self.whole.size

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know though the build went well."""
        return (*self.whole.warnings, *self.unattested)

    async def push(self, repository: Reference, *, on_sent: OnSent = ignore_sent) -> None:
        """Put it into a repository by digest, with what attests it; no tag moves before both are there."""
        for request, image in self.images:
            await run_all(
                [self.builder.push(image, repository, on_sent=on_sent), self._attest(request, image, repository)]
            )
        if len(self.images) > 1:
            await self.builder.push(self.whole, repository, on_sent=on_sent)

    async def sign(self, repository: Reference) -> bool:
        """Attest it where it is already, unless the key has done so or there is none; whether it is signed."""
        if self.attestor is None or not await self.attestor.signs():
            return False
        for request, image in self.images:
            if not await self.attestor.is_signed(repository.with_digest(image.digest)):
                await self._attest(request, image, repository)
        return not self.unattested

    async def _attest(self, request: BuildRequest, image: BuiltImage, repository: Reference) -> None:
        """Also while the image is on its way: its digest is known, and a subject may follow what is attached to it."""
        if self.attestor is not None:
            warnings = await self.attestor.attach(request, image, repository)
            self.unattested = tuple(dict.fromkeys([*self.unattested, *warnings]))


class ServiceBuilder:
    """`ci.ports.ImageBuilder` over the builder."""

    def __init__(
        self,
        builder: ImageWorks,
        *,
        platforms: Sequence[Platform],
        source_url: str,
        attestor: ImageAttestor | None = None,
    ) -> None:
        """Set up; without an attestor, images go out with nothing attached."""
        self._builder = builder
        self._attestor = attestor
        self._platforms = tuple(platforms)
        self._source_url = source_url

    async def find(self, job: BuildJob) -> BuiltService | None:
        """A service that was built before, for every platform."""
        images = []
        for request in self._requests(job):
            image = await self._builder.find(request)
            if image is None:
                return None
            images.append((request, image))
        return BuiltService(self._builder, tuple(images), self._attestor)

    async def build(self, job: BuildJob) -> BuiltService:
        """Build a service for every platform."""
        images = [(request, await self._builder.build(request)) for request in self._requests(job)]
        return BuiltService(self._builder, tuple(images), self._attestor)

    async def signs(self) -> bool:
        """Whether there is a key."""
        return self._attestor is not None and await self._attestor.signs()

    async def is_signed(self, image: Reference) -> bool:
        """Whether the key, if there is one, has signed an image of a registry."""
        return self._attestor is None or await self._attestor.is_signed(image)

    async def sign(self, image: PendingImage, repository: Reference) -> bool:
        """Attest an image of this builder that is in a repository; whether it is signed."""
        return isinstance(image, BuiltService) and await image.sign(repository)

    def _requests(self, job: BuildJob) -> list[BuildRequest]:
        return [
            BuildRequest(
                service=job.service,
                context=job.context,
                commit=job.commit,
                tree_id=job.tree_id,
                source_url=format_source(job.source or self._source_url),
                committed_at=job.committed_at,
                tag=job.tag,
                platform=platform,
                only=job.only,
            )
            for platform in self._platforms
        ]
