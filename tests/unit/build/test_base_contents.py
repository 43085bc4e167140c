"""What a base has, read from the names in its layers, once."""

import io
import tarfile
from pathlib import Path

import pytest

from towpath.build.base_contents import BaseContents, read_contents
from towpath.build.cache import LayerCache
from towpath.build.compression import HEADER, BlockGzip
from towpath.build.entries import BuildError
from towpath.build.image import Base, LayerBlob
from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.image import ImageConfig
from towpath.oci.platform import Platform


@pytest.fixture
def cache(tmp_path: Path) -> LayerCache:
    cache = LayerCache(tmp_path / "cache")
    cache.prepare()
    return cache


def base_of(cache: LayerCache, *layers: list[str], media_type: str = media.OCI_LAYER_GZIP) -> Base:
    blobs = []
    for names in layers:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for name in names:
                archive.addfile(tarfile.TarInfo(name))
        content = buffer.getvalue()
        if media_type == media.OCI_LAYER_GZIP:
            stream = BlockGzip()
            stream.count(content)
            content = HEADER + stream.deflate(content) + stream.trailer()
        digest = Digest.of(content)
        cache.path(digest).write_bytes(content)
        blobs.append(LayerBlob(Descriptor(media_type, digest, len(content)), cache.path(digest)))
    return Base("r.example/base:1", None, ImageConfig(Platform("linux", "amd64")), b"", tuple(blobs))


DEBIAN = ["./usr/lib/x86_64-linux-gnu/libc.so.6", "lib64/ld-linux-x86-64.so.2", "usr/bin/python3.11"]


def test_python_libc_and_libraries_are_found(cache: LayerCache) -> None:
    found = read_contents(cache, base_of(cache, DEBIAN))

    assert found == BaseContents("/usr/bin/python3.11", "3.11", "gnu", frozenset({"libc.so.6", "ld-linux-x86-64.so.2"}))


def test_the_interpreter_that_an_image_was_made_for_comes_before_the_distributions(cache: LayerCache) -> None:
    found = read_contents(
        cache, base_of(cache, DEBIAN, ["usr/local/bin/python3.12", "usr/local/bin/python3.12-config"])
    )

    assert (found.python, found.version) == ("/usr/local/bin/python3.12", "3.12")


def test_musl_is_told_from_glibc(cache: LayerCache) -> None:
    assert read_contents(cache, base_of(cache, ["lib/ld-musl-x86_64.so.1"])).libc == "musl"
    assert read_contents(cache, base_of(cache, ["etc/passwd"])).libc == ""


def test_a_base_without_python_says_so(cache: LayerCache) -> None:
    assert read_contents(cache, base_of(cache, ["usr/sbin/nginx"])).python == ""


def test_layers_without_compression_are_read_too(cache: LayerCache) -> None:
    assert read_contents(cache, base_of(cache, DEBIAN, media_type=media.OCI_LAYER)).version == "3.11"


def test_a_base_is_looked_into_once(cache: LayerCache) -> None:
    base = base_of(cache, DEBIAN)
    found = read_contents(cache, base)
    base.layers[0].path.unlink()

    assert read_contents(cache, base) == found


def test_a_damaged_layer_is_told(cache: LayerCache) -> None:
    base = base_of(cache, DEBIAN)
    base.layers[0].path.write_bytes(base.layers[0].path.read_bytes()[:60])

    with pytest.raises(BuildError, match="LayerUnreadable"):
        read_contents(cache, base)


def test_a_coding_that_cannot_be_read_is_told(cache: LayerCache) -> None:
    with pytest.raises(BuildError, match="LayerCoding"):
        read_contents(cache, base_of(cache, DEBIAN, media_type=media.OCI_LAYER_ZSTD))
