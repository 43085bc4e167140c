"""The SQLite file under the store: opened, checked, and its failures put into words.

Rules: WAL with synchronous=FULL (an acknowledged write survives power loss), the file locked by one process, the
write-ahead log kept small, a file of another format version or of another program refused before anything is read.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from towpath.aio.files import keep_private
from towpath.errors import ConflictError, IntegrityError
from towpath.kube.errors import ApiError

APPLICATION_ID = 0x546F7770  # "Towp": tells our file from any other SQLite file
FORMAT_VERSION = 1
FILE_NAME = "objects.db"

CHECKPOINT_PAGES = 512  # of 4 KiB: the write-ahead log is moved into the main file every 2 MiB
JOURNAL_BYTES = 4 * 1024 * 1024  # what may stay of the write-ahead log's file after a burst

TABLES = """
CREATE TABLE object (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
    revision INTEGER NOT NULL, uid TEXT NOT NULL, expires REAL, body BLOB NOT NULL,
    UNIQUE (kind, namespace, name)
);
CREATE INDEX object_uid ON object (uid);
CREATE INDEX object_namespace ON object (namespace);
CREATE INDEX object_expires ON object (expires) WHERE expires IS NOT NULL;
CREATE TABLE owner (
    uid TEXT NOT NULL, kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
    PRIMARY KEY (uid, kind, namespace, name)
) WITHOUT ROWID;
CREATE TABLE log (
    revision INTEGER PRIMARY KEY AUTOINCREMENT, chatter INTEGER NOT NULL, type TEXT NOT NULL, kind TEXT NOT NULL,
    namespace TEXT NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL, previous BLOB
);
CREATE TABLE trimmed (chatter INTEGER PRIMARY KEY, revision INTEGER NOT NULL);
INSERT INTO trimmed VALUES (0, 0), (1, 0);
"""


class StorageError(ApiError):
    """The disk refused a read or a write; nothing of the request was kept."""


class StorageFullError(StorageError):
    """There is no space left; nothing of the request was kept."""

    code: ClassVar[int] = 507  # WebDAV's Insufficient Storage; clients retry what is not a 4xx

    def __init__(self) -> None:
        super().__init__(
            "cluster store could not be written (StorageFull): no space left, nothing of the request was kept"
        )
        self.hint = "free some disk space and repeat the request"


@contextlib.contextmanager
def storage_errors() -> Iterator[None]:
    """Turn SQLite's exceptions into ours."""
    try:
        yield
    except sqlite3.Error as error:
        # Python's own complaints, as of a closed connection, have no code.
        code = getattr(error, "sqlite_errorname", "Error")
        if code == "SQLITE_FULL":
            raise StorageFullError from error
        raise StorageError(f"cluster store failed ({code}): {error}; nothing of the request was kept") from error


def open_database(directory: Path) -> sqlite3.Connection:
    """Open the database in `directory`, making both if they do not exist.

    Raises:
        ConflictError: another process has it open, or it is of another format version.
        IntegrityError: the file is not ours, or is damaged.
        StorageError: the disk refused.
    """
    path = directory / FILE_NAME
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        keep_private(path)
        connection = sqlite3.connect(path, isolation_level=None, timeout=0)
    except (OSError, sqlite3.Error) as error:
        raise StorageError(f"cluster store {path} could not be opened: {error}") from error
    try:
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES}")
        connection.execute("BEGIN IMMEDIATE")
        _check_format(connection, path)
        connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname in {"SQLITE_BUSY", "SQLITE_LOCKED"}:
            raise ConflictError(
                f"cluster store {path} is in use by another process (Locked)",
                hint="stop the other `towpath up` of this platform first",
            ) from error
        with storage_errors():
            raise
    except sqlite3.DatabaseError as error:
        raise IntegrityError(
            f"cluster store {path} cannot be read ({error.sqlite_errorname}): {error}",
            hint="it is a cache: move it away and Towpath rebuilds the cluster from Git",
        ) from error


def _check_format(connection: sqlite3.Connection, path: Path) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if (application, version, tables) == (0, 0, 0):
        for statement in TABLES.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
    elif application != APPLICATION_ID:
        raise IntegrityError(
            f"cluster store {path} is not Towpath's (ForeignFile): its application id is {application:#x}"
        )
    elif version != FORMAT_VERSION:
        raise ConflictError(
            f"cluster store {path} has another format (FormatVersion): version {version}, expected {FORMAT_VERSION}",
            hint="run the Towpath that wrote it, or move it away: the cluster is rebuilt from Git",
        )
