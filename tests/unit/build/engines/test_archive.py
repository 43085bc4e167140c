"""Archives of engines: what a layout has comes out, and nothing else, nowhere else."""

import io
import tarfile
from pathlib import Path

import pytest

from towpath.build.engines.archive import unpack_layout
from towpath.build.engines.engine import EngineFailedError


def write(path: Path, members: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, target in (links or {}).items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def files_of(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


async def test_a_layout_is_unpacked_and_the_archive_is_gone(tmp_path: Path) -> None:
    members = {"oci-layout": b"{}", "./index.json": b"{}", "blobs/sha256/ab": b"blob", "manifest.json": b"[]"}
    archive = write(tmp_path / "x.tar", members)
    await unpack_layout(archive, tmp_path / "layout")
    assert files_of(tmp_path / "layout") == {"oci-layout", "index.json", "blobs/sha256/ab"}
    assert not archive.exists()


async def test_nothing_leads_out_of_the_directory(tmp_path: Path) -> None:
    members = {"../evil": b"x", "/etc/evil": b"x", "blobs/sha256/../../../evil": b"x", "index.json": b"{}"}
    archive = write(tmp_path / "x.tar", members, {"blobs": str(tmp_path / "elsewhere"), "oci-layout": "/etc/passwd"})
    await unpack_layout(archive, tmp_path / "layout")
    assert files_of(tmp_path) == {"layout/index.json"}


async def test_a_file_that_comes_twice_is_refused(tmp_path: Path) -> None:
    archive = write(tmp_path / "x.tar", {"index.json": b"1", "./index.json": b"2"})
    with pytest.raises(EngineFailedError):
        await unpack_layout(archive, tmp_path / "layout")


@pytest.mark.parametrize("content", [b"", b"no tar at all"])
async def test_anything_else_is_an_engine_that_failed(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(EngineFailedError, match="cannot be read"):
        await unpack_layout(tmp_path / "x.tar", tmp_path / "layout")


async def test_no_archive_is_an_engine_that_failed(tmp_path: Path) -> None:
    with pytest.raises(EngineFailedError):
        await unpack_layout(tmp_path / "none.tar", tmp_path / "layout")
