import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from towpath.cluster.kernel.database import FILE_NAME, FORMAT_VERSION, StorageError, open_database
from towpath.errors import ConflictError, IntegrityError


def test_a_new_directory_is_private_and_gets_the_durable_settings(tmp_path: Path) -> None:
    connection = open_database(tmp_path / "cluster")
    settings = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")}
    connection.close()
    assert settings == {"journal_mode": "wal", "synchronous": 2}
    assert (tmp_path / "cluster").stat().st_mode & 0o077 == 0


def test_another_format_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    connection = open_database(tmp_path)
    connection.execute(f"PRAGMA user_version = {FORMAT_VERSION + 1}")
    connection.close()
    before = (tmp_path / FILE_NAME).read_bytes()
    with pytest.raises(ConflictError, match=rf"version {FORMAT_VERSION + 1}, expected {FORMAT_VERSION}") as caught:
        open_database(tmp_path)
    assert "rebuilt from Git" in caught.value.hint
    assert (tmp_path / FILE_NAME).read_bytes() == before


def test_another_program_s_database_is_refused(tmp_path: Path) -> None:
    foreign = sqlite3.connect(tmp_path / FILE_NAME)
    foreign.execute("CREATE TABLE theirs (x)")
    foreign.close()
    with pytest.raises(IntegrityError, match="is not Towpath's"):
        open_database(tmp_path)


def test_a_damaged_file_is_refused_with_a_next_step(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"this is not a database" * 1000)
    with pytest.raises(IntegrityError, match="cannot be read") as caught:
        open_database(tmp_path)
    assert "rebuilds the cluster from Git" in caught.value.hint


def test_a_store_in_use_by_another_process_is_refused(tmp_path: Path) -> None:
    open_database(tmp_path).close()
    script = (
        "import sys, pathlib; from towpath.cluster.kernel.database import open_database\n"
        "connection = open_database(pathlib.Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
    )
    argv = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(ConflictError, match="in use by another process"):
            open_database(tmp_path)
    open_database(tmp_path).close()


def test_a_path_that_cannot_be_a_directory_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="could not be opened"):
        open_database(tmp_path / "file" / "cluster")
