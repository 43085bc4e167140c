"""What a tree was built into is found again, and only while all that it follows from is the same."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from fakes.clock import VirtualClock
from fakes.memory_registry import MemoryRegistry
from towpath.blueprint.model import SCRATCH_BASE, Service
from towpath.build.bases import Bases
from towpath.build.builder import Builder
from towpath.build.cache import LayerCache
from towpath.build.image import (
    AddedLayer,
    BuildRequest,
    BuiltImage,
    LayerBlob,
    LockedPackage,
    Parts,
    Start,
    compose,
)
from towpath.build.recall import Recall
from towpath.build.remote_base import BaseUnavailableError
from towpath.build.scratch import scratch_base
from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.image import ImageConfig, format_image_config
from towpath.oci.manifest import Manifest, format_manifest
from towpath.oci.platform import Platform
from towpath.oci.reference import Reference

AMD64 = Platform("linux", "amd64")
BASE = "r.example/base:1"
SITE = Service("site", "services/site", base=SCRATCH_BASE, static=".", entrypoint=("/app/server",), env={"A": "1"})


class Yard:
    """A cache, a registry of bases, and a service's directory."""

    def __init__(self, root: Path) -> None:
        self.cache = LayerCache(root / "cache")
        self.cache.prepare()
        self.registry = MemoryRegistry()
        self.context = root / "site"
        self.context.mkdir()
        (self.context / "index.html").write_text("hello\n")

    def request(self, service: Service = SITE, *, tree_id: str = "aaaa", **other: Any) -> BuildRequest:
        made = BuildRequest(service, self.context, "c" * 40, tree_id, "", 1_700_000_000.0, "sha-ccccccc", AMD64)
        return replace(made, **other)

    def builder(self) -> Builder:
        """One as of another process."""
        return Builder(cache=self.cache.blobs.parent, registry=self.registry, clock=VirtualClock())

    async def push_base(self, content: bytes) -> None:
        config = format_image_config(ImageConfig(AMD64, diff_ids=(Digest.of(content),)))
        reference = Reference.parse(BASE)
        for blob in (content, config):
            self.registry.blobs[reference.name, Digest.of(blob)] = blob
        layers = (Descriptor(media.OCI_LAYER, Digest.of(content), len(content)),)
        raw = format_manifest(Manifest(Descriptor(media.OCI_CONFIG, Digest.of(config), len(config)), layers))
        await self.registry.push_manifest(reference, raw, media.OCI_MANIFEST)

    def change_record(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Of the tree: the one record that has rules."""
        for path in (self.cache.blobs.parent / "records").iterdir():
            document = orjson.loads(path.read_bytes())
            if "rules" in document:
                change(document)
                path.write_bytes(orjson.dumps(document))
                return
        raise AssertionError


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path)


async def built(yard: Yard, service: Service = SITE) -> BuiltImage:
    return await yard.builder().build(yard.request(service))


async def test_a_tree_that_was_built_is_found_without_its_directory(yard: Yard) -> None:
    image = await built(yard)
    found = await yard.builder().find(yard.request(context=yard.context / "absent"))

    assert found == replace(image, cached=True)


async def test_another_commit_of_the_same_tree_is_another_image_of_the_same_layers(yard: Yard) -> None:
    image = await built(yard)
    request = yard.request(commit="d" * 40, tag="sha-ddddddd", committed_at=1_800_000_000.0)
    found = await yard.builder().find(request)

    assert found == replace(await yard.builder().build(request), cached=True)
    assert found.digest != image.digest
    assert found.layers == image.layers


async def test_everything_that_is_known_of_an_image_is_remembered(yard: Yard) -> None:
    digest = Digest.of(b"layer")
    yard.cache.path(digest).write_bytes(b"layer")
    blob = LayerBlob(Descriptor(media.OCI_LAYER_GZIP, digest, 5), yard.cache.path(digest), shared=True)
    parts = Parts(
        (AddedLayer(blob, Digest.of(b"diff"), "towpath packages"),),
        Start(("python3", "-m", "site"), "/app", ("/app", "/app/src"), ("/opt/bin",)),
        cached=True,
        packages=(LockedPackage("one", "1.0", ("sha256:1", "sha256:2")), LockedPackage("two", "2")),
        lock="requirements.lock sha256:3",
        warnings=("they may not import",),
    )
    recall, base, request = Recall(yard.cache, Bases(yard.cache, yard.registry)), scratch_base(AMD64), yard.request()
    recall.keep(request, base, parts)

    assert await recall.find(request) == compose(request, base, parts)


@pytest.mark.parametrize(
    "other",
    [
        {"tree_id": "bbbb"},
        {"tree_id": ""},
        {"platform": Platform("linux", "arm64")},
        {"service": replace(SITE, env={"A": "2"})},
        {"service": replace(SITE, into="/srv")},
        {"service": replace(SITE, name="other")},
    ],
)
async def test_what_differs_in_anything_is_not_found(yard: Yard, other: dict[str, Any]) -> None:
    await built(yard)

    assert await yard.builder().find(replace(yard.request(), **other)) is None


async def test_a_directory_that_is_no_tree_is_not_remembered(yard: Yard) -> None:
    await yard.builder().build(yard.request(tree_id=""))

    assert await yard.builder().find(yard.request(tree_id="")) is None


async def test_a_base_whose_tag_has_moved_is_noticed(yard: Yard) -> None:
    service = replace(SITE, base=BASE)
    await yard.push_base(b"one")
    await built(yard, service)
    assert await yard.builder().find(yard.request(service)) is not None

    await yard.push_base(b"two")
    assert await yard.builder().find(yard.request(service)) is None


async def test_a_base_that_cannot_be_asked_for_is_no_miss(yard: Yard) -> None:
    service = replace(SITE, base=BASE)
    await yard.push_base(b"one")
    await built(yard, service)
    yard.registry.manifests.clear()
    yard.registry.tags_.clear()

    with pytest.raises(BaseUnavailableError):
        await yard.builder().find(yard.request(service))


async def test_no_base_is_asked_for_when_the_tree_is_unknown(yard: Yard) -> None:
    assert await yard.builder().find(yard.request(replace(SITE, base=BASE))) is None
    assert yard.registry.requests == 0


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"cut")])
async def test_a_layer_that_is_not_whole_is_built_again(yard: Yard, damage: Callable[[Path], object]) -> None:
    image = await built(yard)
    damage(image.layers[-1].path)

    assert await yard.builder().find(yard.request()) is None
    assert (await built(yard)).digest == image.digest
    assert image.layers[-1].path.stat().st_size == image.layers[-1].descriptor.size


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.update(rules="0"),
        lambda record: record.update(base=["scratch"]),
        lambda record: record.pop("added"),
        lambda record: record.update(added=[{}]),
        lambda record: record["added"][0].update(digest="sha256:x"),
        lambda record: record["added"][0].update(size="many"),
        lambda record: record.update(start=[]),
        lambda record: record.update(start=None),
        lambda record: record.update(packages=[["one"]]),
        lambda record: record.update(warnings=7),
    ],
)
async def test_a_record_of_other_rules_or_of_no_sense_is_built_again(
    yard: Yard, change: Callable[[dict[str, Any]], object]
) -> None:
    image = await built(yard)
    yard.change_record(change)

    assert await yard.builder().find(yard.request()) is None
    assert await yard.builder().build(yard.request()) == replace(image, cached=True)
    assert await yard.builder().find(yard.request()) is not None
