"""Headers as another reader, the standard library's, understands them."""

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.build.entries import Entry, Kind, directory, made_file, symlink
from towpath.build.tarball import BLOCK, END, ENTRY_TIME, format_header, padding

_SEGMENT = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=60)
_PATHS = st.lists(_SEGMENT.filter(lambda name: name not in {".", ".."}), min_size=1, max_size=12).map("/".join)


def read_back(entry: Entry) -> tarfile.TarInfo:
    data = format_header(entry) + entry.content + padding(entry.size) + END
    assert len(data) % BLOCK == 0
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:", encoding="utf-8") as archive:
        [member] = archive.getmembers()
        if member.isfile() and entry.content:
            content = archive.extractfile(member)
            assert content is not None
            assert content.read() == entry.content
        return member


def test_a_file_has_no_owner_one_time_and_its_mode() -> None:
    member = read_back(made_file("app/main.py", b"x = 1\n", executable=True))

    assert (member.name, member.mode, member.size, member.type) == ("app/main.py", 0o755, 6, tarfile.REGTYPE)
    assert (member.uid, member.gid, member.uname, member.gname, member.mtime) == (0, 0, "", "", ENTRY_TIME)


def test_a_directory_keeps_a_sticky_mode() -> None:
    member = read_back(directory("tmp", 0o1777))

    assert (member.isdir(), member.name, member.mode) == (True, "tmp", 0o1777)


def test_a_link_keeps_its_target() -> None:
    member = read_back(symlink("usr/local/bin/python3", "python3.11"))

    assert (member.issym(), member.linkname) == (True, "python3.11")


@pytest.mark.parametrize("length", [99, 100, 101, 155, 156, 200, 255, 256, 257, 400])
def test_paths_around_the_limits_of_ustar_come_back_whole(length: int) -> None:
    path = "/".join(["d" * 49] * (length // 50 + 1))[:length].rstrip("/")

    assert read_back(made_file(path, b"")).name == path
    assert read_back(directory(path)).name == path


def test_a_short_path_needs_no_pax_record() -> None:
    assert len(format_header(made_file("a/" * 60 + "x" * 90, b""))) == BLOCK


def test_a_file_of_eight_gibibytes_has_its_size_in_a_pax_record() -> None:
    header = format_header(Entry("big", Kind.FILE, 0o644, size=8**11))

    assert b"size=8589934592\n" in header
    assert len(format_header(Entry("big", Kind.FILE, 0o644, size=8**11 - 1))) == BLOCK


@given(_PATHS)
def test_any_path_comes_back_as_it_was(path: str) -> None:
    assert read_back(made_file(path, b"content")).name == path


@given(_PATHS)
def test_any_link_target_comes_back_as_it_was(target: str) -> None:
    assert read_back(symlink("link", target)).linkname == target
