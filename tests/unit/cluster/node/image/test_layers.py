import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.images import make_layer
from towpath.cluster.node.image.layers import LayerStore, remove_tree
from towpath.cluster.node.image.tarball import Bounds, LayerError
from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest

TAR = make_layer({"a/b": b"content", "a/.wh.gone": b""})
DIFF_ID = Digest.of(TAR)


class Download:
    """A blob that can be watched and stopped on its way."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.count = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> AsyncIterator[bytes]:
        self.count += 1
        for start in range(0, len(self.content), 1000):
            await self.gate.wait()
            yield self.content[start : start + 1000]

    def open(self) -> AsyncIterator[bytes]:
        return self()


def descriptor_of(content: bytes, media_type: str = media.OCI_LAYER) -> Descriptor:
    return Descriptor(media_type, Digest.of(content), len(content))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LayerStore]:
    opened = LayerStore(tmp_path)
    yield opened
    await opened.close()


async def test_a_layer_is_unpacked_once_and_found_afterwards(store: LayerStore) -> None:
    download = Download(TAR)
    layer = await store.ensure(DIFF_ID, descriptor_of(TAR), download.open)
    again = await store.ensure(DIFF_ID, descriptor_of(TAR), download.open)
    assert (layer.root / "a" / "b").read_bytes() == b"content"
    assert layer.whiteouts == ("a/gone",)
    assert layer.hides
    assert again == layer
    assert download.count == 1


@pytest.mark.parametrize("level", [1, 9])
async def test_a_gzip_layer_is_known_by_its_diff_id(store: LayerStore, level: int) -> None:
    packed = gzip.compress(TAR, level)
    layer = await store.ensure(DIFF_ID, descriptor_of(packed, media.OCI_LAYER_GZIP), Download(packed).open)
    assert layer.diff_id == DIFF_ID


async def test_pulls_of_one_layer_at_the_same_time_share_the_download(store: LayerStore) -> None:
    download = Download(TAR)
    download.gate.clear()
    both = [asyncio.create_task(store.ensure(DIFF_ID, descriptor_of(TAR), download.open)) for _ in range(3)]
    await asyncio.sleep(0)
    download.gate.set()
    layers = await asyncio.gather(*both)
    assert len({layer.root for layer in layers}) == 1
    assert download.count == 1


async def test_a_cancelled_caller_does_not_cost_the_others_their_layer(store: LayerStore) -> None:
    download = Download(TAR)
    download.gate.clear()
    first = asyncio.create_task(store.ensure(DIFF_ID, descriptor_of(TAR), download.open))
    second = asyncio.create_task(store.ensure(DIFF_ID, descriptor_of(TAR), download.open))
    await asyncio.sleep(0)
    first.cancel()
    download.gate.set()
    assert (await second).diff_id == DIFF_ID


async def refused(store: LayerStore, directory: Path, descriptor: Descriptor, content: bytes, diff_id: Digest) -> str:
    with pytest.raises(LayerError) as caught:
        await store.ensure(diff_id, descriptor, Download(content).open)
    assert list(directory.iterdir()) == []  # nothing of it stays
    assert store.find(diff_id) is None
    return caught.value.message


async def test_damaged_short_and_wrong_content_is_refused_and_leaves_nothing(store: LayerStore, tmp_path: Path) -> None:
    flipped = bytearray(TAR)
    flipped[700] ^= 1
    assert "(Digest)" in await refused(store, tmp_path, descriptor_of(TAR), bytes(flipped), DIFF_ID)
    assert "(Digest)" in await refused(store, tmp_path, descriptor_of(TAR), TAR[:-1], DIFF_ID)
    other = Digest.of(b"other")
    assert f"expected {other}, got {DIFF_ID}" in await refused(store, tmp_path, descriptor_of(TAR), TAR, other)
    packed = gzip.compress(TAR)[:-20]
    message = await refused(store, tmp_path, descriptor_of(packed, media.OCI_LAYER_GZIP), packed, DIFF_ID)
    assert "BadGzip" in message or "BadTar" in message


@pytest.mark.parametrize(
    ("bounds", "what"),
    [
        (Bounds(size_bytes=50_000), "more than 50000 bytes"),
        (Bounds(entries=2), "more than 2 entries"),
        (Bounds(size_bytes=100), "bytes packed, and at most 100 are taken"),
    ],
)
async def test_a_layer_beyond_its_bounds_is_refused_and_leaves_nothing(
    tmp_path: Path, bounds: Bounds, what: str
) -> None:
    store = LayerStore(tmp_path, bounds=bounds)
    bomb = make_layer({"a": b"\0" * 40_000, "b": b"\0" * 40_000, "c": b""})
    packed = gzip.compress(bomb)
    descriptor = descriptor_of(packed, media.OCI_LAYER_GZIP)
    message = await refused(store, tmp_path, descriptor, packed, Digest.of(bomb))
    assert "(TooLarge)" in message
    assert what in message
    await store.close()


async def test_what_the_disk_cannot_spare_is_refused_before_it_is_downloaded(tmp_path: Path) -> None:
    store = LayerStore(tmp_path, bounds=Bounds(size_bytes=1 << 62))
    download = Download(TAR)
    huge = Descriptor(media.OCI_LAYER, Digest.of(TAR), 1 << 61)
    with pytest.raises(LayerError, match=r"\(TooLarge\).*because the disk has no more to spare"):
        await store.ensure(DIFF_ID, huge, download.open)
    assert download.count == 0
    await store.close()


async def test_endless_bytes_after_the_tar_are_bounded_too(tmp_path: Path) -> None:
    store = LayerStore(tmp_path, bounds=Bounds(size_bytes=50_000))
    packed = gzip.compress(TAR + b"\0" * 100_000)
    message = await refused(store, tmp_path, descriptor_of(packed, media.OCI_LAYER_GZIP), packed, DIFF_ID)
    assert "(TooLarge): its tar takes more than 50000 bytes" in message
    await store.close()


async def test_a_blob_longer_than_announced_is_not_written_to_the_end(store: LayerStore, tmp_path: Path) -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while taken < 100 * len(TAR):
            taken += len(TAR)
            yield TAR

    with pytest.raises(LayerError, match=r"\(Digest\)"):
        await store.ensure(DIFF_ID, descriptor_of(TAR), endless)
    assert taken <= 2 * len(TAR)
    assert list(tmp_path.iterdir()) == []


async def test_zstd_is_refused_with_what_to_do(store: LayerStore) -> None:
    with pytest.raises(LayerError, match="Zstd") as caught:
        await store.ensure(DIFF_ID, descriptor_of(TAR, media.OCI_LAYER_ZSTD), Download(TAR).open)
    assert "gzip" in caught.value.hint


async def test_an_unknown_media_type_is_refused(store: LayerStore) -> None:
    with pytest.raises(LayerError, match="text/html"):
        await store.ensure(DIFF_ID, descriptor_of(TAR, "text/html"), Download(TAR).open)


async def test_bytes_after_the_end_of_the_tar_belong_to_the_diff_id(store: LayerStore) -> None:
    padded = TAR + b"\0" * 20480
    layer = await store.ensure(Digest.of(padded), descriptor_of(padded), Download(padded).open)
    assert (layer.root / "a" / "b").exists()


async def test_what_a_crashed_unpacking_left_is_removed_at_the_next_start(tmp_path: Path) -> None:
    (tmp_path / "unpack-x1" / "layer").mkdir(parents=True)
    (tmp_path / ("0" * 64)).mkdir()  # renamed, but its record never reached the disk
    LayerStore(tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_a_layer_of_an_earlier_boot_counts_only_if_it_was_synced(store: LayerStore, tmp_path: Path) -> None:
    layer = await store.ensure(DIFF_ID, descriptor_of(TAR), Download(TAR).open)
    record = layer.root.parent / "layer.json"
    document = json.loads(record.read_text())
    record.write_text(json.dumps({**document, "boot_id": "another"}))
    (layer.root.parent / "synced").touch()
    assert LayerStore(tmp_path).find(DIFF_ID) == layer
    (layer.root.parent / "synced").unlink()
    assert LayerStore(tmp_path).find(DIFF_ID) is None


async def test_unused_layers_are_pruned(store: LayerStore) -> None:
    other = make_layer({"x": b"y"})
    await store.ensure(DIFF_ID, descriptor_of(TAR), Download(TAR).open)
    await store.ensure(Digest.of(other), descriptor_of(other), Download(other).open)
    assert store.prune({DIFF_ID}) == [Digest.of(other)]
    assert store.find(DIFF_ID) is not None


def test_a_tree_with_unreadable_directories_is_removed(tmp_path: Path) -> None:
    closed = tmp_path / "tree" / "closed"
    closed.mkdir(parents=True)
    (closed / "file").touch()
    closed.chmod(0)
    remove_tree(tmp_path / "tree")
    assert not (tmp_path / "tree").exists()
