import io
import stat
import tarfile
from pathlib import Path

import pytest

from towpath.cluster.node.image.tarball import Bounds, LayerError, unpack


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> io.BytesIO:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    buffer.seek(0)
    return buffer


def file(name: str, content: bytes = b"x", mode: int = 0o644) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.mode, info.mtime = mode, 1_700_000_000
    return info, content


def entry(name: str, kind: bytes, target: str = "", mode: int = 0o755) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, target, mode
    return info, b""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    directory = tmp_path / "layer" / "root"
    directory.mkdir(parents=True)
    return directory


def outside(root: Path) -> list[str]:
    """Everything next to and above the layer's own directory."""
    return [str(path) for path in root.parent.parent.rglob("*") if root not in path.parents and path != root]


def test_files_directories_and_links_are_unpacked_with_modes_and_times(root: Path) -> None:
    found = unpack(
        tar_of(
            entry("./app", tarfile.DIRTYPE, mode=0o555),
            file("./app/main.py", b"print()", 0o4755),
            entry("./app/hard", tarfile.LNKTYPE, "app/main.py"),
            entry("./app/soft", tarfile.SYMTYPE, "/app/main.py"),
        ),
        root,
    )
    main = root / "app" / "main.py"
    assert main.read_bytes() == b"print()"
    assert stat.S_IMODE(main.stat().st_mode) == 0o755  # without set-user-id
    assert main.stat().st_mtime == 1_700_000_000
    assert (root / "app" / "hard").stat().st_ino == main.stat().st_ino
    assert str((root / "app" / "soft").readlink()) == "/app/main.py"
    assert stat.S_IMODE((root / "app").stat().st_mode) == 0o755  # a read-only directory stays removable
    assert found.entries == 4


def test_parents_that_the_tar_leaves_out_are_made(root: Path) -> None:
    unpack(tar_of(file("a/b/c")), root)
    assert (root / "a" / "b" / "c").read_bytes() == b"x"


def test_a_later_entry_replaces_an_earlier_one(root: Path) -> None:
    unpack(tar_of(file("a", b"old"), file("a", b"new"), entry("l", tarfile.SYMTYPE, "a"), file("l", b"file")), root)
    assert (root / "a").read_bytes() == b"new"
    assert not (root / "l").is_symlink()


def test_whiteouts_are_recorded_and_not_written(root: Path) -> None:
    found = unpack(tar_of(file("a/.wh.gone"), file("a/.wh..wh..opq"), file(".wh.top")), root)
    assert found.whiteouts == ["a/gone", "top"]
    assert found.opaque == ["a"]
    assert list(root.rglob("*")) == []


def test_a_link_that_stays_inside_is_followed(root: Path) -> None:
    unpack(tar_of(entry("usr/lib", tarfile.DIRTYPE), entry("lib", tarfile.SYMTYPE, "usr/lib"), file("lib/x")), root)
    assert (root / "usr" / "lib" / "x").exists()


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        pytest.param([file("../evil")], "ClimbsOut", id="a name that climbs"),
        pytest.param([file("a/../../evil")], "ClimbsOut", id="a name that climbs later"),
        pytest.param([file("/etc/evil")], "AbsoluteName", id="an absolute name"),
        pytest.param(
            [entry("out", tarfile.SYMTYPE, "../.."), file("out/evil")], "LinkEscape", id="through a link that climbs"
        ),
        pytest.param(
            [entry("out", tarfile.SYMTYPE, "/etc"), file("out/evil")], "LinkEscape", id="through an absolute link"
        ),
        pytest.param(
            [entry("a", tarfile.SYMTYPE, "b"), entry("b", tarfile.SYMTYPE, "a"), file("a/x")],
            "LinkEscape",
            id="through a loop of links",
        ),
        pytest.param([entry("h", tarfile.LNKTYPE, "../../secret")], "ClimbsOut", id="a hard link that climbs"),
        pytest.param([entry("h", tarfile.LNKTYPE, "absent")], "BadHardLink", id="a hard link to nothing"),
        pytest.param([entry("d", tarfile.CHRTYPE)], "DeviceNode", id="a character device"),
        pytest.param([entry("d", tarfile.BLKTYPE)], "DeviceNode", id="a block device"),
        pytest.param([file("a/.wh...")], "BadWhiteout", id="a whiteout of the parent"),
        pytest.param([file("a"), file("a/b")], "NotADirectory", id="a file as a directory"),
        pytest.param([file("a/b"), file("a")], "Replaced", id="a file over a filled directory"),
    ],
)
def test_a_hostile_tar_is_refused_and_nothing_lands_outside(
    root: Path, members: list[tuple[tarfile.TarInfo, bytes]], reason: str
) -> None:
    (root.parent.parent / "secret").write_text("s")
    before = outside(root)
    with pytest.raises(LayerError, match=rf"\({reason}\)"):
        unpack(tar_of(*members), root)
    assert outside(root) == before


def test_a_truncated_tar_is_an_error(root: Path) -> None:
    whole = tar_of(file("a", b"x" * 5000)).getvalue()
    with pytest.raises(LayerError, match="BadTar"):
        unpack(io.BytesIO(whole[:3000]), root)


def test_junk_is_not_a_layer(root: Path) -> None:
    with pytest.raises(LayerError, match="BadTar"):
        unpack(io.BytesIO(b"\x01junk" * 1000), root)


def test_more_bytes_than_the_bound_are_refused_as_they_are_written(root: Path) -> None:
    bounds = Bounds(size_bytes=1000)
    unpack(tar_of(file("a", b"x" * 600), file("b", b"x" * 400)), root, bounds)
    with pytest.raises(LayerError, match=r"\(TooLarge\): its files take more than 1000 bytes") as caught:
        unpack(tar_of(file("c", b"x" * 600), file("d", b"x" * 401)), root, bounds)
    assert caught.value.hint
    assert (root / "d").stat().st_size <= 400


def test_a_sparse_file_counts_as_what_it_unpacks_to(root: Path) -> None:
    info = tarfile.TarInfo("hole")
    info.pax_headers = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.map": "0,1",
        "GNU.sparse.size": str(1 << 40),
        "GNU.sparse.name": "hole",
    }
    info.size = 1
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(info, io.BytesIO(b"x"))
    buffer.seek(0)
    with pytest.raises(LayerError, match="TooLarge"):
        unpack(buffer, root, Bounds(size_bytes=1 << 20))
    assert sum(path.stat().st_size for path in root.iterdir()) <= 1 << 20


def test_more_entries_than_the_bound_are_refused(root: Path) -> None:
    entries = [file(f"f{number}") for number in range(4)]
    assert unpack(tar_of(*entries), root, Bounds(entries=4)).entries == 4
    with pytest.raises(LayerError, match=r"\(TooLarge\): it has more than 3 entries"):
        unpack(tar_of(*entries), root, Bounds(entries=3))


def test_names_are_bounded_one_by_one_and_together(root: Path) -> None:
    with pytest.raises(LayerError, match=r"a name is refused \(TooLarge\)"):
        unpack(tar_of(file("a/" * 2100 + ".wh.x")), root)
    with pytest.raises(LayerError, match=r"\(TooLarge\): its names take more than 10 bytes"):
        unpack(tar_of(file("dir/.wh.1234")), root, Bounds(name_bytes=10))


def test_an_extended_header_is_not_read_into_memory_whatever_its_size(root: Path) -> None:
    header = tarfile.TarInfo("././@PaxHeader")
    header.type, header.size = tarfile.XHDTYPE, 1 << 32
    with pytest.raises(LayerError, match=r"an extended header is refused \(TooLarge\)"):
        unpack(io.BytesIO(header.tobuf(tarfile.USTAR_FORMAT) + b"\0" * 10240), root)
