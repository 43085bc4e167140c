"""Images that engines wrote: what is taken over, what is found again, and what is refused."""

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from towpath.build.cache import LayerCache
from towpath.build.engines.engine import EngineFailedError
from towpath.build.imported import ImportedImage, import_layout
from towpath.oci import media
from towpath.oci.digest import Digest
from towpath.oci.platform import Platform

PLATFORM = Platform("linux", "amd64")
TAR = b"pretend this is a tar" * 100


@pytest.fixture
def cache(tmp_path: Path) -> LayerCache:
    made = LayerCache(tmp_path / "cache")
    made.prepare()
    return made


class Layout:
    """A layout on disk, made piece by piece."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "blobs" / "sha256").mkdir(parents=True)

    def blob(self, content: bytes, media_type: str) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        (self.directory / "blobs" / "sha256" / digest).write_bytes(content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    def json(self, document: dict[str, Any], media_type: str) -> dict[str, Any]:
        return self.blob(json.dumps(document).encode(), media_type)

    def image(
        self,
        layer: bytes = TAR,
        kind: str = media.OCI_LAYER,
        *,
        architecture: str = "amd64",
        notes: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        tar = gzip.decompress(layer) if kind != media.OCI_LAYER else layer
        config = {
            "architecture": architecture,
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(tar))]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": media.OCI_MANIFEST,
            "config": self.json(config, media.OCI_CONFIG),
            "layers": [self.blob(layer, kind)],
            "annotations": notes or {},
        }
        return self.json(manifest, media.OCI_MANIFEST)

    def index(self, *entries: dict[str, Any]) -> None:
        document = {"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": list(entries)}
        (self.directory / "index.json").write_text(json.dumps(document))


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "layout")


def take(layout: Layout, cache: LayerCache) -> ImportedImage:
    return import_layout(layout.directory, cache, PLATFORM)


def test_a_plain_tar_is_compressed_as_all_our_layers_are_and_found_again(layout: Layout, cache: LayerCache) -> None:
    layout.index(layout.image())
    found = take(layout, cache)
    (layer,) = found.layers
    assert layer.descriptor.media_type == media.OCI_LAYER_GZIP
    assert gzip.decompress(layer.path.read_bytes()) == TAR
    assert not found.cached
    again = take(layout, cache)
    assert (again.layers, again.cached) == (found.layers, True)


def test_a_compressed_layer_stays_as_it_is(layout: Layout, cache: LayerCache) -> None:
    packed = gzip.compress(TAR, mtime=0)
    layout.index(layout.image(packed, media.DOCKER_LAYER_GZIP))
    (layer,) = take(layout, cache).layers
    assert (layer.descriptor.media_type, layer.path.read_bytes()) == (media.OCI_LAYER_GZIP, packed)
    assert take(layout, cache).cached


def test_what_the_engine_says_of_its_base_is_kept(layout: Layout, cache: LayerCache) -> None:
    digest = Digest.of(b"base")
    notes = {
        "org.opencontainers.image.base.name": "docker.io/library/x:1",
        "org.opencontainers.image.base.digest": str(digest),
    }
    layout.index(layout.image(notes=notes))
    found = take(layout, cache)
    assert (found.base_name, found.base_digest) == ("docker.io/library/x:1", digest)


def test_a_base_of_nothing_has_no_digest(layout: Layout, cache: LayerCache) -> None:
    notes = {"org.opencontainers.image.base.name": "", "org.opencontainers.image.base.digest": str(Digest.of(b""))}
    layout.index(layout.image(notes=notes))
    assert take(layout, cache).base_digest is None


def test_the_image_of_the_platform_is_taken_from_an_index_in_the_index(layout: Layout, cache: LayerCache) -> None:
    mine = {**layout.image(), "platform": {"os": "linux", "architecture": "amd64"}}
    other = {**layout.image(architecture="arm64"), "platform": {"os": "linux", "architecture": "arm64"}}
    inner = {"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": [other, mine]}
    layout.index(layout.json(inner, media.OCI_INDEX))
    assert take(layout, cache).config.platform == PLATFORM


def test_an_image_for_another_platform_is_refused(layout: Layout, cache: LayerCache) -> None:
    layout.index(layout.image(architecture="arm64"))
    with pytest.raises(EngineFailedError, match="not the one asked for"):
        take(layout, cache)


@pytest.mark.parametrize("count", [0, 2])
def test_none_or_several_images_are_refused(layout: Layout, cache: LayerCache, count: int) -> None:
    layout.index(*[layout.image()] * count)
    with pytest.raises(EngineFailedError, match=f"{count} images"):
        take(layout, cache)


@pytest.mark.parametrize("kind", [media.OCI_LAYER, media.OCI_LAYER_GZIP])
def test_a_layer_that_is_not_what_its_digest_says_is_refused_and_not_kept(
    layout: Layout, cache: LayerCache, kind: str
) -> None:
    content = TAR if kind == media.OCI_LAYER else gzip.compress(TAR, mtime=0)
    layout.index(layout.image(content, kind))
    path = layout.directory / "blobs" / "sha256" / hashlib.sha256(content).hexdigest()
    path.write_bytes(b"X" + content[1:])
    with pytest.raises(EngineFailedError, match="not what its digest says"):
        take(layout, cache)
    assert list(cache.blobs.iterdir()) == []


def test_a_configuration_that_was_changed_is_refused(layout: Layout, cache: LayerCache) -> None:
    entry = layout.image()
    layout.index(entry)
    manifest = layout.directory / "blobs" / "sha256" / str(entry["digest"]).removeprefix("sha256:")
    config = json.loads(manifest.read_bytes())["config"]["digest"].removeprefix("sha256:")
    (layout.directory / "blobs" / "sha256" / config).write_bytes(b"{}")
    with pytest.raises(EngineFailedError, match="not what its digest says"):
        take(layout, cache)


def test_a_layer_of_another_kind_is_refused(layout: Layout, cache: LayerCache) -> None:
    entry = layout.image()
    manifest = json.loads((layout.directory / "blobs/sha256" / str(entry["digest"])[7:]).read_bytes())
    manifest["layers"][0]["mediaType"] = "application/vnd.example"
    layout.index(layout.json(manifest, media.OCI_MANIFEST))
    with pytest.raises(EngineFailedError, match=r"vnd\.example"):
        take(layout, cache)


def test_a_part_that_is_missing_is_an_engine_that_failed(layout: Layout, cache: LayerCache) -> None:
    with pytest.raises(EngineFailedError):
        take(layout, cache)
    layout.index(layout.image())
    for path in (layout.directory / "blobs" / "sha256").iterdir():
        if path.read_bytes() == TAR:
            path.unlink()
    with pytest.raises(EngineFailedError):
        take(layout, cache)


def test_indexes_that_lead_in_a_circle_are_left(layout: Layout, cache: LayerCache) -> None:
    entry = layout.image()
    for _ in range(4):
        inner = {"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": [entry]}
        entry = layout.json(inner, media.OCI_INDEX)
    layout.index(entry)
    with pytest.raises(EngineFailedError, match="no end"):
        take(layout, cache)
