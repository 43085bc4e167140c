"""An image for several platforms: one index over an image for each. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from towpath.build.entries import BuildError
from towpath.build.image import BuiltImage, LockedPackage
from towpath.oci import annotations, media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.image import parse_image_config
from towpath.oci.manifest import Index, Manifest, format_manifest, parse_manifest

# Of one platform's image; an index is of several.
_OF_ONE_PLATFORM = frozenset({annotations.BASE_DIGEST})


@dataclass(frozen=True, slots=True)
class BuiltIndex:
    """Images of several platforms under one digest; ordered by platform."""

    manifest_raw: bytes
    digest: Digest
    images: tuple[BuiltImage, ...]
    media_type: str = media.OCI_INDEX

    @property
    def descriptor(self) -> Descriptor:
        """What another index says of this one."""
        return Descriptor(self.media_type, self.digest, len(self.manifest_raw))

    @property
    def cached(self) -> bool:
        """Whether no layer of any platform had to be written."""
        return all(image.cached for image in self.images)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Of all platforms, each once."""
        return tuple(dict.fromkeys(warning for image in self.images for warning in image.warnings))

    @property
    def packages(self) -> tuple[LockedPackage, ...]:
        """Of all platforms, each once."""
        return tuple(dict.fromkeys(package for image in self.images for package in image.packages))

    @property
    def size(self) -> int:
        """Bytes of everything; what platforms share counts once."""
        layers = {layer.descriptor.digest: layer.descriptor.size for image in self.images for layer in image.layers}
        documents = sum(len(image.config_raw) + len(image.manifest_raw) for image in self.images)
        return sum(layers.values()) + documents + len(self.manifest_raw)


def compose_index(images: Iterable[BuiltImage]) -> BuiltIndex:
    """The index over images of distinct platforms.

    Raises:
        BuildError: two are for the same platform.
    """
    platforms = {}
    for image in images:
        platform = parse_image_config(image.config_raw).platform
        if platform in platforms:
            raise BuildError(
                f"index cannot be made (PlatformTwice): two images are for {platform}", hint="name each platform once"
            )
        platforms[platform] = image
    ordered = sorted(platforms.items(), key=lambda item: str(item[0]))
    entries = tuple(replace(image.descriptor, platform=platform) for platform, image in ordered)
    first = parse_manifest(ordered[0][1].manifest_raw) if ordered else None
    shared = first.annotations if isinstance(first, Manifest) else {}
    raw = format_manifest(Index(entries, {key: value for key, value in shared.items() if key not in _OF_ONE_PLATFORM}))
    return BuiltIndex(raw, Digest.of(raw), tuple(image for _, image in ordered))
