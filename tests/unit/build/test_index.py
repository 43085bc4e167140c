"""One index over an image for each platform."""

import pytest

from towpath.build.entries import BuildError
from towpath.build.image import BuiltImage
from towpath.build.index import compose_index
from towpath.oci.annotations import BASE_DIGEST, REVISION
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.image import ImageConfig, format_image_config
from towpath.oci.manifest import Index, Manifest, format_manifest, parse_manifest
from towpath.oci.platform import Platform


def image(architecture: str, *, cached: bool = True, warnings: tuple[str, ...] = ()) -> BuiltImage:
    config = format_image_config(ImageConfig(Platform("linux", architecture)))
    annotations = {REVISION: "abc", BASE_DIGEST: f"sha256:{architecture}"}
    manifest = Manifest(Descriptor("config", Digest.of(config), len(config)), (), annotations)
    raw = format_manifest(manifest)
    return BuiltImage(raw, manifest.media_type, Digest.of(raw), config, (), cached=cached, warnings=warnings)


def test_the_images_stand_in_the_order_of_their_platforms_whatever_order_they_were_built_in() -> None:
    one, other = image("amd64"), image("arm64")
    index = compose_index([other, one])

    assert index == compose_index([one, other])
    parsed = parse_manifest(index.manifest_raw, index.media_type)
    assert isinstance(parsed, Index)
    assert [str(entry.platform) for entry in parsed.manifests] == ["linux/amd64", "linux/arm64"]
    assert [entry.digest for entry in parsed.manifests] == [one.digest, other.digest]


def test_the_index_says_of_all_what_its_images_say_in_common() -> None:
    parsed = parse_manifest(compose_index([image("amd64"), image("arm64")]).manifest_raw)

    assert parsed.annotations == {REVISION: "abc"}


def test_it_is_cached_when_all_are_and_warns_of_each_thing_once() -> None:
    index = compose_index([image("amd64", warnings=("w",)), image("arm64", cached=False, warnings=("w", "v"))])

    assert (index.cached, index.warnings) == (False, ("w", "v"))
    assert index.size > len(index.manifest_raw)
    assert index.descriptor.digest == index.digest


def test_two_images_for_one_platform_are_refused() -> None:
    with pytest.raises(BuildError, match="PlatformTwice"):
        compose_index([image("amd64"), image("amd64", cached=False)])
