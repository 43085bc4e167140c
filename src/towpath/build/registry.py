"""What the builder needs from a registry's client; `ociclient.RegistryClient` satisfies it."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.manifest import Manifest
from towpath.oci.platform import Platform
from towpath.oci.reference import Reference

# Who is told that so many more bytes of an image are on their way.
OnSent = Callable[[int], None]


def ignore_sent(count: int) -> None:
    """For those who do not want to know how far a push is."""
    del count


class RemoteImage(Protocol):
    """An image in a registry, already narrowed to one platform."""

    @property
    def descriptor(self) -> Descriptor:
        """Of its manifest."""
        ...

    @property
    def manifest(self) -> Manifest:
        """Its configuration and layers."""
        ...


class BaseRegistry(Protocol):
    """Where bases are pulled from."""

    async def image(self, ref: Reference, platform: Platform, /) -> RemoteImage:
        """The image for a platform. Raises RemoteError."""
        ...

    def blob(self, ref: Reference, descriptor: Descriptor, /) -> AsyncIterator[bytes]:
        """A blob's bytes, verified before the iterator ends. Raises RemoteError and IntegrityError."""
        ...


class ImageRegistry(Protocol):
    """Where images are pushed to."""

    async def resolve(self, ref: Reference, /) -> Descriptor:
        """What a reference stands for. Raises PullError, also when there is nothing."""
        ...

    async def push_blob(
        self,
        ref: Reference,
        descriptor: Descriptor,
        open_blob: Callable[[], AsyncIterator[bytes]],
        /,
        *,
        mount_from: str = "",
    ) -> bool:
        """Upload a blob unless it is there or can be mounted; whether bytes were sent. Raises RemoteError."""
        ...

    async def push_manifest(self, ref: Reference, raw: bytes, media_type: str, /) -> Digest:
        """Put a manifest under the reference's tag or digest. Raises RemoteError."""
        ...


class AttestationRegistry(ImageRegistry, Protocol):
    """Where images are pushed to, with what attests them."""

    async def referrers(self, ref: Reference, /) -> Sequence[Descriptor]:
        """What is attached to the reference's digest; nothing where there is no such image. Raises RemoteError."""
        ...


class BuildRegistry(BaseRegistry, ImageRegistry, Protocol):
    """Both sides: five methods."""
