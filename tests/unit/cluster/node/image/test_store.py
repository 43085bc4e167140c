from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.clock import VirtualClock
from fakes.images import FakeRegistry, make_layer
from towpath.cluster.node.image.store import MOST_SOURCES, SPARE_IMAGES, ImageStore
from towpath.cluster.node.image.tarball import LayerError
from towpath.cluster.node.registration import local_platform
from towpath.oci.keyring import Credential, Keyring
from towpath.oci.reference import Reference
from towpath.ociclient.errors import PullError

REFERENCE = Reference.parse("registry.test/app:v1")
BASE, TOP = make_layer({"base": b"b"}), make_layer({"top": b"t"})


@pytest.fixture
def registry() -> FakeRegistry:
    made = FakeRegistry()
    made.add("registry.test/app:v1", [BASE, TOP])
    return made


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def store(tmp_path: Path, registry: FakeRegistry, clock: VirtualClock) -> AsyncIterator[ImageStore]:
    opened = ImageStore(tmp_path, sources=registry.source, platform=local_platform(), clock=clock)
    yield opened
    await opened.close()


async def test_a_pulled_image_is_found_and_stacked_lowest_first(store: ImageStore) -> None:
    assert store.find(REFERENCE) is None
    image = await store.pull(REFERENCE, Keyring())
    assert store.find(REFERENCE) == image
    roots = await store.roots(image)
    assert [[path.name for path in root.iterdir()] for root in roots] == [["base"], ["top"]]


async def test_a_known_digest_costs_one_head_and_no_download(store: ImageStore, registry: FakeRegistry) -> None:
    await store.pull(REFERENCE, Keyring())
    registry.heads, registry.downloads = 0, []
    await store.pull(REFERENCE, Keyring())
    assert (registry.heads, registry.downloads) == (1, [])


async def test_layers_shared_with_another_image_are_not_downloaded_again(
    store: ImageStore, registry: FakeRegistry
) -> None:
    await store.pull(REFERENCE, Keyring())
    registry.add("registry.test/app:v2", [BASE, make_layer({"top": b"new"})])
    registry.downloads = []
    await store.pull(REFERENCE.with_tag("v2"), Keyring())
    assert len(registry.downloads) == 1


async def test_the_keyring_of_the_pull_decides(store: ImageStore, registry: FakeRegistry) -> None:
    registry.credentials = Credential("me", "right")
    with pytest.raises(PullError):
        await store.pull(REFERENCE, Keyring())
    await store.pull(REFERENCE, Keyring.of({"registry.test": Credential("me", "right")}))


async def test_an_image_whose_layer_went_is_pulled_again(
    store: ImageStore, registry: FakeRegistry, tmp_path: Path
) -> None:
    image = await store.pull(REFERENCE, Keyring())
    layer = tmp_path / "layers" / image.config.diff_ids[0].hex
    layer.rename(tmp_path / "elsewhere")
    assert store.find(REFERENCE) is None
    with pytest.raises(LayerError, match="LayerMissing"):
        await store.roots(image)
    registry.downloads = []
    await store.pull(REFERENCE, Keyring())
    assert registry.downloads == [image.config.diff_ids[0]]


async def test_an_image_whose_configuration_counts_other_layers_is_refused(
    store: ImageStore, registry: FakeRegistry
) -> None:
    for key, image in registry.images.items():
        registry.images[key] = replace(image, config=replace(image.config, diff_ids=image.config.diff_ids[:1]))
    with pytest.raises(LayerError, match="2 layers, its configuration 1"):
        await store.pull(REFERENCE, Keyring())


async def test_images_beyond_the_spare_ones_are_pruned_with_their_layers(
    store: ImageStore, registry: FakeRegistry, clock: VirtualClock, tmp_path: Path
) -> None:
    first = await store.pull(REFERENCE, Keyring())
    for number in range(SPARE_IMAGES):
        clock.step(1)
        registry.add("registry.test/app:next", [BASE, make_layer({"n": str(number).encode()})])
        await store.pull(REFERENCE.with_tag("next"), Keyring())
    assert await store.prune({first.image_id}) == []
    forgotten = await store.prune(set())
    assert [image.digest for image in forgotten] == [first.digest]
    names = {path.name for path in (tmp_path / "layers").iterdir()}
    assert first.config.diff_ids[0].hex in names  # the base is still needed
    assert first.config.diff_ids[1].hex not in names


async def test_sources_are_kept_by_keyring_and_not_without_end(tmp_path: Path, registry: FakeRegistry) -> None:
    made: list[Keyring] = []

    def source(keyring: Keyring) -> object:
        made.append(keyring)
        return registry.source(keyring)

    store = ImageStore(tmp_path, sources=source, platform=local_platform(), clock=VirtualClock())  # type: ignore[arg-type]
    rings = [Keyring.of({"registry.test": Credential("u", str(n))}) for n in range(MOST_SOURCES + 1)]
    for ring in (*rings, rings[-1], rings[0]):
        await store.pull(REFERENCE, ring)
    assert made == [*rings, rings[0]]
    await store.close()


async def test_what_one_pulled_with_a_secret_is_not_for_others(
    tmp_path: Path, registry: FakeRegistry, clock: VirtualClock
) -> None:
    owner = Keyring.of({"registry.test": Credential("u", "p")})
    for _ in ("a new store", "after a restart"):
        store = ImageStore(tmp_path, sources=registry.source, platform=local_platform(), clock=clock)
        image = store.find(REFERENCE) or await store.pull(REFERENCE, owner)
        assert store.is_accessible(image, REFERENCE, owner)
        assert not store.is_accessible(image, REFERENCE, Keyring())
        await store.close()
    store = ImageStore(tmp_path, sources=registry.source, platform=local_platform(), clock=clock)
    image = await store.pull(REFERENCE, Keyring())
    assert store.is_accessible(image, REFERENCE, Keyring()), "the registry has given it to everyone"
    await store.close()


async def test_an_image_knows_its_size(store: ImageStore) -> None:
    image = await store.pull(REFERENCE, Keyring())
    assert image.size > len(BASE) + len(TOP)
    assert (await store.pull(REFERENCE, Keyring())).size == image.size
