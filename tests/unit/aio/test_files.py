import os
import threading
from pathlib import Path

import pytest

from towpath.aio.files import start_writing, write_all, write_durably


def test_a_file_is_replaced_with_its_mode_and_nothing_else_stays(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    write_durably(path, b"old")
    write_durably(path, b"new", mode=0o600)

    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_replaced_leaves_no_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / "taken"
    path.mkdir()
    (path / "full").touch()

    with pytest.raises(OSError, match="taken"):
        write_durably(path, b"content")

    assert list(tmp_path.iterdir()) == [path]


def test_what_the_kernel_takes_in_pieces_is_written_whole() -> None:
    reading, writing = os.pipe()
    content = os.urandom(1_000_000)  # more than a pipe takes at once
    received = bytearray()

    def drain() -> None:
        while piece := os.read(reading, 65536):
            received.extend(piece)

    reader = threading.Thread(target=drain)
    reader.start()
    write_all(writing, content)
    os.close(writing)
    reader.join()
    os.close(reading)
    assert received == content


@pytest.mark.parametrize(("start", "length"), [(0, 0), (0, 1 << 20), (1 << 20, 1 << 20), (0, 1 << 40)])
def test_a_file_whose_writing_is_begun_early_has_its_content(tmp_path: Path, start: int, length: int) -> None:
    content = os.urandom(2 << 20)
    with (tmp_path / "file").open("wb", buffering=0) as file:
        write_all(file.fileno(), content)
        start_writing(file.fileno(), start, length)
        start_writing(file.fileno(), start, length)
        os.fsync(file.fileno())
    assert (tmp_path / "file").read_bytes() == content


def test_what_cannot_be_written_early_is_no_failure() -> None:
    reading, writing = os.pipe()
    start_writing(writing, 0, 1000)
    os.close(reading)
    os.close(writing)
    start_writing(writing, 0, 1000)
