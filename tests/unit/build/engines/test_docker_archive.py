"""Docker's own archives: the image in one becomes a layout that is taken over like any other."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from towpath.build.cache import LayerCache
from towpath.build.engines.archive import unpack_layout
from towpath.build.engines.engine import EngineFailedError
from towpath.build.imported import ImportedImage, import_layout
from towpath.oci.digest import Digest
from towpath.oci.image import ImageConfig, format_image_config
from towpath.oci.platform import Platform

HOST = Platform("linux", "amd64")
BELOW, ABOVE = b"tar of what is below" * 50, b"tar of what is above" * 50
CONFIG = format_image_config(
    ImageConfig(HOST, user="1000", diff_ids=(Digest.of(BELOW), Digest.of(ABOVE), Digest.of(BELOW)))
)
IMAGE = {"Config": "c.json", "RepoTags": None, "Layers": ["1/layer.tar", "2/layer.tar", "3/layer.tar"]}


def save(path: Path, listing: Any, *, without: str = "", config: bytes = CONFIG) -> Path:
    """An archive as docker 20.10 saves it: the third layer is the first again, and a link to it."""
    members = {
        "1/layer.tar": BELOW,
        "2/layer.tar": ABOVE,
        "c.json": config,
        "manifest.json": listing if isinstance(listing, bytes) else json.dumps(listing).encode(),
    }
    with tarfile.open(path, "w") as archive:
        link = tarfile.TarInfo("3/layer.tar")
        link.type, link.linkname = tarfile.SYMTYPE, "../1/layer.tar"
        archive.addfile(link)
        for name, content in members.items():
            if name != without:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


async def take_over(archive: Path, tmp_path: Path) -> ImportedImage:
    cache = LayerCache(tmp_path / "cache")
    cache.prepare()
    await unpack_layout(archive, tmp_path / "layout")
    return import_layout(tmp_path / "layout", cache, HOST)


async def test_the_image_has_the_layers_in_their_order(tmp_path: Path) -> None:
    image = await take_over(save(tmp_path / "x.tar", [IMAGE]), tmp_path)
    assert image.config_raw == CONFIG
    assert image.config.user == "1000"
    first, second, third = (layer.descriptor.digest for layer in image.layers)
    assert first == third != second
    assert not (tmp_path / "x.tar").exists()


async def test_layers_are_held_against_the_configuration(tmp_path: Path) -> None:
    other = CONFIG.replace(Digest.of(ABOVE).hex.encode(), b"0" * 64)
    with pytest.raises(EngineFailedError, match="not what its digest says"):
        await take_over(save(tmp_path / "x.tar", [IMAGE], config=other), tmp_path)


@pytest.mark.parametrize("missing", ["1/layer.tar", "2/layer.tar", "c.json"])
async def test_an_archive_that_lacks_a_part_is_refused(tmp_path: Path, missing: str) -> None:
    with pytest.raises(EngineFailedError, match="lacks"):
        await unpack_layout(save(tmp_path / "x.tar", [IMAGE], without=missing), tmp_path / "layout")


@pytest.mark.parametrize(
    ("listing", "problem"),
    [
        (b"{", "not JSON"),
        ({}, "no images"),
        ([], "0 images"),
        ([IMAGE, IMAGE], "2 images"),
        ([7], "expected an object"),
        ([{"Layers": []}], "Config: is missing"),
        ([{**IMAGE, "Layers": [1]}], "expected a text"),
        ([{**IMAGE, "Layers": ["4/layer.tar"]}], "lacks 4/layer.tar"),
    ],
)
async def test_a_listing_that_is_not_one_of_one_image_is_refused(tmp_path: Path, listing: Any, problem: str) -> None:
    with pytest.raises(EngineFailedError, match=problem):
        await unpack_layout(save(tmp_path / "x.tar", listing), tmp_path / "layout")


@pytest.mark.parametrize("target", ["../../etc/passwd", "../3/layer.tar", "/etc/passwd"])
async def test_a_link_leads_nowhere_but_to_a_file_of_the_archive(tmp_path: Path, target: str) -> None:
    path = save(tmp_path / "x.tar", [{**IMAGE, "Layers": ["4/layer.tar"]}])
    with tarfile.open(path, "a") as archive:
        link = tarfile.TarInfo("4/layer.tar")
        link.type, link.linkname = tarfile.SYMTYPE, target
        archive.addfile(link)
    with pytest.raises(EngineFailedError, match=r"4/layer\.tar"):
        await unpack_layout(path, tmp_path / "layout")
