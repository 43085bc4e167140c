import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from towpath.aio.files import keep_private, start_writing, write_all, write_durably


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


def modes(directory: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()}


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
def test_a_new_database_is_its_owners_alone_with_what_sqlite_puts_beside_it(tmp_path: Path) -> None:
    keep_private(tmp_path / "x.db")
    connection = sqlite3.connect(tmp_path / "x.db")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE t (x)")
    connection.commit()
    found = modes(tmp_path)
    connection.close()
    assert found == {"x.db": 0o600, "x.db-wal": 0o600, "x.db-shm": 0o600}


@pytest.mark.usefixtures("open_umask")
def test_a_database_that_others_could_read_is_shut_and_keeps_its_content(tmp_path: Path) -> None:
    for name in ("x.db", "x.db-wal", "x.db-shm", "other.db"):
        (tmp_path / name).write_bytes(b"kept")
    keep_private(tmp_path / "x.db")
    assert modes(tmp_path) == {"x.db": 0o600, "x.db-wal": 0o600, "x.db-shm": 0o600, "other.db": 0o644}
    assert (tmp_path / "x.db").read_bytes() == b"kept"


def test_a_database_keeps_the_locks_of_who_has_it_open(tmp_path: Path) -> None:
    """POSIX takes all locks of a process on a file away when the process closes any descriptor of it."""
    first, second = (sqlite3.connect(tmp_path / "x.db", timeout=0, isolation_level=None) for _ in range(2))
    first.execute("CREATE TABLE t (x)")
    first.execute("BEGIN EXCLUSIVE")
    keep_private(tmp_path / "x.db")
    code = f"import sqlite3; sqlite3.connect({str(tmp_path / 'x.db')!r}, timeout=0).execute('BEGIN IMMEDIATE')"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    first.close()
    second.close()
    assert "database is locked" in other.stderr
