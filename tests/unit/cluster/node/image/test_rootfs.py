import os
import tempfile
from pathlib import Path

from towpath.cluster.node.image.layers import Layer
from towpath.cluster.node.image.rootfs import MOST_OVERLAY_LAYERS, Rootfs, chain_id, copy_root, merge
from towpath.oci.digest import Digest


def make(directory: Path, name: str, files: dict[str, str], **hidden: tuple[str, ...]) -> Layer:
    root = directory / name
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    root.mkdir(parents=True, exist_ok=True)
    return Layer(Digest.of(name.encode()), root, **hidden)


def test_plain_layers_are_stacked_as_they_are(tmp_path: Path) -> None:
    layers = [make(tmp_path, "a", {"x": "1"}), make(tmp_path, "b", {"y": "2"})]
    assert Rootfs(tmp_path / "rootfs").prepare(layers) == [tmp_path / "a", tmp_path / "b"]


def test_layers_that_hide_something_are_merged_once(tmp_path: Path) -> None:
    lower = make(tmp_path, "a", {"old": "1", "d/x": "1", "keep": "1", "dir/x": "1"})
    upper = make(tmp_path, "b", {"d/y": "2", "keep": "2"}, whiteouts=("old", "dir"), opaque=("d",))
    rootfs = Rootfs(tmp_path / "rootfs")
    [merged] = rootfs.prepare([lower, upper])
    assert sorted(str(path.relative_to(merged)) for path in merged.rglob("*")) == ["d", "d/y", "keep"]
    assert (merged / "keep").read_text() == "2"
    assert (merged / "keep").stat().st_ino == (tmp_path / "b" / "keep").stat().st_ino
    assert rootfs.prepare([lower, upper]) == [merged]
    assert (lower.root / "old").exists()  # the layer itself is shared and stays whole


def test_more_layers_than_a_mount_can_name_are_merged(tmp_path: Path) -> None:
    layers = [make(tmp_path, f"l{n}", {f"f{n}": ""}) for n in range(MOST_OVERLAY_LAYERS + 1)]
    [merged] = Rootfs(tmp_path / "rootfs").prepare(layers)
    assert len(list(merged.iterdir())) == len(layers)


def test_a_whiteout_behind_a_link_deletes_nothing_outside(tmp_path: Path) -> None:
    precious = tmp_path / "host" / "precious"
    precious.parent.mkdir()
    precious.write_text("mine")
    lower = make(tmp_path, "a", {})
    (lower.root / "lib").symlink_to(tmp_path / "host")
    upper = make(tmp_path, "b", {}, whiteouts=("lib/precious",), opaque=("lib",))
    merge([lower, upper], tmp_path / "merged", link=True)
    assert precious.read_text() == "mine"


def test_a_file_replaces_a_directory_and_a_directory_a_link(tmp_path: Path) -> None:
    lower = make(tmp_path, "a", {"x/inner": "1"})
    (lower.root / "y").symlink_to("/etc")
    upper = make(tmp_path, "b", {"x": "file", "y/inner": "2"})
    merge([lower, upper], tmp_path / "merged", link=True)
    assert (tmp_path / "merged" / "x").read_text() == "file"
    assert (tmp_path / "merged" / "y" / "inner").read_text() == "2"
    assert not (tmp_path / "merged" / "y").is_symlink()


def test_a_copied_root_can_be_written_without_touching_the_layer(tmp_path: Path) -> None:
    layer = make(tmp_path, "a", {"x": "1"})
    (layer.root / "x").chmod(0o555)
    os.utime(layer.root / "x", (1_700_000_000, 1_700_000_000))
    copy_root([layer], tmp_path / "copy", writable=True)
    copied = tmp_path / "copy" / "x"
    assert (copied.read_text(), copied.stat().st_mode & 0o777, copied.stat().st_mtime) == ("1", 0o555, 1_700_000_000)
    copied.chmod(0o755)
    copied.write_text("changed")
    assert (layer.root / "x").read_text() == "1"
    assert (layer.root / "x").stat().st_mode & 0o777 == 0o555


def test_a_root_that_is_not_written_to_costs_no_blocks_and_has_directories_of_its_own(tmp_path: Path) -> None:
    layer = make(tmp_path, "a", {"d/x": "1"})
    copy_root([layer], tmp_path / "copy", writable=False)
    assert (tmp_path / "copy" / "d" / "x").samefile(layer.root / "d" / "x")
    (tmp_path / "copy" / "d" / "mountpoint").touch()
    assert [path.name for path in (layer.root / "d").iterdir()] == ["x"]


def test_what_cannot_be_linked_is_copied(tmp_path: Path) -> None:
    layer = make(tmp_path, "a", {"x": "1"})
    with tempfile.TemporaryDirectory(dir=other_file_system(tmp_path)) as elsewhere:
        copy_root([layer], Path(elsewhere) / "copy", writable=False)
        assert (Path(elsewhere) / "copy" / "x").read_text() == "1"
        assert not (Path(elsewhere) / "copy" / "x").samefile(layer.root / "x")


def other_file_system(path: Path) -> str:
    """A directory that `path` has no hard links to; without a tmpfs there is none to be had."""
    found = [place for place in ("/dev/shm", "/run/lock") if os.access(place, os.W_OK)]  # noqa: S108 - a tmpfs
    return next(place for place in found if Path(place).stat().st_dev != path.stat().st_dev)


def test_leftovers_and_unused_merges_are_removed(tmp_path: Path) -> None:
    (tmp_path / "rootfs" / "merge-left").mkdir(parents=True)
    rootfs = Rootfs(tmp_path / "rootfs")
    layers = [make(tmp_path, "a", {"x": "1"}), make(tmp_path, "b", {}, whiteouts=("x",))]
    [merged] = rootfs.prepare(layers)
    rootfs.prune({chain_id(layers)})
    assert [path.name for path in (tmp_path / "rootfs").iterdir()] == [merged.name]
    rootfs.prune(set())
    assert list((tmp_path / "rootfs").iterdir()) == []
