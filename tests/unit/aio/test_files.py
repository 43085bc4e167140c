from pathlib import Path

import pytest

from towpath.aio.files import write_durably


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
