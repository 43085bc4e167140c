"""Layouts on disk: whole, verified, and never written over what is not one."""

import os
import resource
from pathlib import Path

import pytest

from towpath.build.image import BuiltImage, LayerBlob
from towpath.build.index import compose_index
from towpath.build.layout import LayoutDirectoryError, LayoutDiskError, write_layout
from towpath.errors import ConflictError, IntegrityError
from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.image import ImageConfig, format_image_config
from towpath.oci.manifest import Index, Manifest, format_manifest, parse_manifest
from towpath.oci.platform import Platform


def image(cache: Path, content: bytes, architecture: str = "amd64") -> BuiltImage:
    digest = Digest.of(content)
    cache.mkdir(exist_ok=True)
    (cache / digest.hex).write_bytes(content)
    layer = Descriptor(media.OCI_LAYER_GZIP, digest, len(content))
    config = format_image_config(ImageConfig(Platform("linux", architecture)))
    manifest = Manifest(Descriptor(media.OCI_CONFIG, Digest.of(config), len(config)), (layer,))
    raw = format_manifest(manifest)
    return BuiltImage(raw, media.OCI_MANIFEST, Digest.of(raw), config, (LayerBlob(layer, cache / digest.hex),))


def blobs(layout: Path) -> set[str]:
    return {path.name for path in (layout / "blobs" / "sha256").iterdir()}


def test_several_images_stand_under_their_names_and_share_layers(tmp_path: Path) -> None:
    one, other = image(tmp_path / "c", b"layer"), image(tmp_path / "c", b"layer", "arm64")
    write_layout({"a:1": one, "b:1": other}, tmp_path / "out")
    index = parse_manifest((tmp_path / "out" / "index.json").read_bytes())

    assert isinstance(index, Index)
    assert [entry.annotations["org.opencontainers.image.ref.name"] for entry in index.manifests] == ["a:1", "b:1"]
    assert len(blobs(tmp_path / "out")) == 5


def test_an_index_brings_the_images_it_names(tmp_path: Path) -> None:
    whole = compose_index([image(tmp_path / "c", b"one"), image(tmp_path / "c", b"two", "arm64")])
    write_layout({"a:1": whole}, tmp_path / "out")

    assert {whole.digest.hex, *(one.digest.hex for one in whole.images)} <= blobs(tmp_path / "out")


def test_a_layout_that_was_there_is_replaced(tmp_path: Path) -> None:
    write_layout({"a:1": image(tmp_path / "c", b"one")}, tmp_path / "out")
    newer = image(tmp_path / "c", b"two")
    write_layout({"a:2": newer}, tmp_path / "out")
    index = parse_manifest((tmp_path / "out" / "index.json").read_bytes())

    assert isinstance(index, Index)
    assert [entry.digest for entry in index.manifests] == [newer.digest]


def test_other_files_are_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "index.json").write_text("mine")

    with pytest.raises(ConflictError, match="NotEmpty"):
        write_layout({"a:1": image(tmp_path / "c", b"one")}, tmp_path / "out")
    assert (tmp_path / "out" / "index.json").read_text() == "mine"


@pytest.mark.parametrize("damage", [b"other", None])
def test_a_layer_that_rotted_or_went_is_an_error_and_nothing_of_it_is_left(
    tmp_path: Path, damage: bytes | None
) -> None:
    one = image(tmp_path / "c", b"layer")
    if damage is None:
        one.layers[0].path.unlink()
    else:
        one.layers[0].path.write_bytes(damage)

    with pytest.raises(IntegrityError):
        write_layout({"a:1": one}, tmp_path / "out")
    assert blobs(tmp_path / "out") == set()
    assert not (tmp_path / "out" / "index.json").exists()


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_others_may_read_a_layout_as_the_umask_says(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_layout({"a:1": image(tmp_path / "c", b"one")}, tmp_path / "out")
    finally:
        os.umask(before)

    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(files) == 5
    assert {path.stat().st_mode & 0o777 for path in files} == {mode}


@pytest.mark.parametrize("where", ["/proc/nowhere/out", "/dev/null", "/dev/null/out"])
def test_a_place_that_cannot_hold_a_layout_is_the_users_to_mend(tmp_path: Path, where: str) -> None:
    with pytest.raises(LayoutDirectoryError, match=f"image layout {where} cannot be written") as caught:
        write_layout({"a:1": image(tmp_path / "c", b"one")}, Path(where))

    assert "cache" not in caught.value.diagnostics()
    assert caught.value.exit_code == 2


def test_a_disk_that_takes_no_more_is_told_as_such(tmp_path: Path) -> None:
    one = image(tmp_path / "c", b"one")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(LayoutDiskError, match="cannot be written") as caught:
            write_layout({"a:1": one}, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert "free space" in caught.value.diagnostics()
    assert [path for path in (tmp_path / "out").rglob(".*") if path.is_file()] == [], "nothing half written"
