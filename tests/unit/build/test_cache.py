"""The cache forgets, survives and bounds itself; it never hands out half a layer."""

import errno
import os
from pathlib import Path

import pytest

from towpath.build.cache import CacheError, Layer, LayerCache, cache_errors
from towpath.build.entries import made_file
from towpath.build.layer import write_layer
from towpath.oci.digest import Digest

NOW = 1_800_000_000.0


@pytest.fixture
def cache(tmp_path: Path) -> LayerCache:
    cache = LayerCache(tmp_path / "cache", limit_bytes=1000)
    cache.prepare()
    return cache


def store(cache: LayerCache, key: str, *, used: float = NOW) -> Layer:
    before = set(cache.blobs.parent.rglob("*"))
    layer = write_layer([made_file("x", os.urandom(400))], cache.blobs)
    cache.put(key, layer)
    for path in set(cache.blobs.parent.rglob("*")) - before:
        os.utime(path, (used, used))
    return layer


def test_a_recorded_layer_is_found_by_its_key(cache: LayerCache) -> None:
    layer = store(cache, "key")

    assert cache.find("key") == layer
    assert cache.find("other") is None


def test_a_record_without_its_blob_counts_for_nothing(cache: LayerCache) -> None:
    cache.discard(store(cache, "key").digest)

    assert cache.find("key") is None


def test_a_truncated_blob_counts_for_nothing(cache: LayerCache) -> None:
    layer = store(cache, "key")
    os.truncate(cache.path(layer.digest), 10)

    assert cache.find("key") is None


@pytest.mark.parametrize("junk", [b"", b"{", b"[]", b'{"diffID": 1}', b'{"diffID":"sha256:x","digest":"y","size":1}'])
def test_a_damaged_record_counts_for_nothing(cache: LayerCache, junk: bytes) -> None:
    store(cache, "key")
    [record] = (cache.blobs.parent / "records").iterdir()
    record.write_bytes(junk)

    assert cache.find("key") is None


def test_pruning_deletes_the_longest_unused_until_the_limit_holds(cache: LayerCache) -> None:
    old = store(cache, "old", used=NOW - 30_000)
    middle = store(cache, "middle", used=NOW - 20_000)
    new = store(cache, "new", used=NOW - 10_000)

    assert cache.prune(NOW) > 0
    assert [cache.path(layer.digest).exists() for layer in (old, middle, new)] == [False, False, True]


def test_pruning_spares_what_was_just_used_even_over_the_limit(cache: LayerCache) -> None:
    layers = [store(cache, f"key{index}", used=NOW - 60) for index in range(4)]

    assert cache.prune(NOW) == 0
    assert all(cache.has(layer.digest, layer.size) for layer in layers)


def test_what_a_crash_left_is_swept_after_an_hour(cache: LayerCache) -> None:
    fresh, stale = cache.blobs / ".layer-fresh", cache.blobs / ".layer-stale"
    for path, age in ((fresh, 60), (stale, 4000)):
        path.write_bytes(b"half")
        os.utime(path, (NOW - age, NOW - age))

    cache.prune(NOW)

    assert [fresh.exists(), stale.exists()] == [True, False]


def test_pruning_a_cache_that_is_not_there_frees_nothing(tmp_path: Path) -> None:
    assert LayerCache(tmp_path / "none").prune(NOW) == 0


def test_a_full_disk_is_an_error_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match=r"CacheUnwritable\): No space left") as caught, cache_errors(tmp_path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert "free space" in caught.value.hint


def test_a_file_in_the_place_of_the_cache_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")

    with pytest.raises(CacheError):
        LayerCache(tmp_path / "cache").prepare()


def test_records_are_json_beside_layers(cache: LayerCache) -> None:
    cache.put_record("base", {"config": "{}"})

    assert cache.find_record("base") == {"config": "{}"}
    assert cache.find_record("none") == {}
    assert not cache.has(Digest.of(b""), 0)


def test_a_tree_on_its_way_into_a_layer_is_gone_with_its_block(cache: LayerCache) -> None:
    with cache.staging() as directory:
        (directory / "sub").mkdir()
        (directory / "sub" / "file").write_text("x")

    assert not directory.exists()


def test_trees_that_a_crash_left_are_swept_and_those_in_use_are_not(cache: LayerCache) -> None:
    with cache.staging() as directory:
        left = directory.with_name("left-by-a-crash")
        (left / "sub").mkdir(parents=True)
        os.utime(left, (1, 1))
        cache.prune(directory.stat().st_mtime)

        assert not left.exists()
        assert directory.exists()


def test_what_else_is_known_of_a_layer_is_kept_beside_it(cache: LayerCache) -> None:
    layer = write_layer([made_file("x", b"content")], cache.blobs)
    cache.put("key", layer, packages=["flask"])

    assert cache.find("key") == layer
    assert cache.find_record("key")["packages"] == ["flask"]
