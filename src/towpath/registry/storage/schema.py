"""The catalog's tables, its version, and how a database is opened so that a commit survives a power cut.

An older version is brought up in place, in one transaction, when it is opened: killed in between, it is as it was.
"""

import sqlite3
from pathlib import Path

from towpath.aio.files import keep_private
from towpath.registry.errors import DamagedContentError, DataVersionError

VERSION = 2
# "TowR": tells this database from any other SQLite file.
APPLICATION_ID = 0x546F7752

_TABLES = """
CREATE TABLE repositories (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE blobs (digest TEXT PRIMARY KEY, size INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE links (
    repository INTEGER NOT NULL REFERENCES repositories (id),
    digest TEXT NOT NULL REFERENCES blobs (digest),
    linked_at REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (repository, digest)
) WITHOUT ROWID;
CREATE INDEX links_by_digest ON links (digest);
CREATE TABLE manifests (
    repository INTEGER NOT NULL REFERENCES repositories (id),
    digest TEXT NOT NULL,
    media_type TEXT NOT NULL,
    content BLOB NOT NULL,
    subject TEXT NOT NULL,
    artifact_type TEXT NOT NULL,
    annotations TEXT NOT NULL,
    pushed_at REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (repository, digest)
);
CREATE INDEX manifests_by_digest ON manifests (digest);
CREATE INDEX manifests_by_subject ON manifests (repository, subject) WHERE subject != '';
CREATE TABLE targets (
    repository INTEGER NOT NULL,
    target TEXT NOT NULL,
    manifest TEXT NOT NULL,
    PRIMARY KEY (repository, target, manifest),
    FOREIGN KEY (repository, manifest) REFERENCES manifests (repository, digest) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX targets_by_manifest ON targets (repository, manifest);
CREATE INDEX targets_by_target ON targets (target);
CREATE TABLE tags (
    repository INTEGER NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    set_at REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (repository, name),
    FOREIGN KEY (repository, digest) REFERENCES manifests (repository, digest) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX tags_by_digest ON tags (repository, digest);
CREATE TABLE marks (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
# From the version of the key to the next one. What was there counts as pushed at the moment of the change: nothing of
# it is garbage before a whole grace period has passed.
_STEPS = {
    1: """
ALTER TABLE links ADD COLUMN linked_at REAL NOT NULL DEFAULT 0;
ALTER TABLE manifests ADD COLUMN pushed_at REAL NOT NULL DEFAULT 0;
ALTER TABLE tags ADD COLUMN set_at REAL NOT NULL DEFAULT 0;
UPDATE links SET linked_at = {now};
UPDATE manifests SET pushed_at = {now};
UPDATE tags SET set_at = {now};
CREATE INDEX targets_by_target ON targets (target);
CREATE TABLE marks (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
""",
}


def open_database(path: Path, *, now: float) -> sqlite3.Connection:
    """Open the catalog, made new when there is none, brought up to this version when it is older.

    Raises:
        DataVersionError: it is another program's, or of a newer version.
        DamagedContentError: it is no database.
        sqlite3.Error: it cannot be read.
        OSError: it cannot be made.
    """
    keep_private(path)
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    try:
        version = _read(connection, "user_version")
        if version == 0 and not _has_tables(connection):
            _create(connection)
        elif _read(connection, "application_id") != APPLICATION_ID or not 1 <= version <= VERSION:
            raise DataVersionError(
                f"registry catalog {path} cannot be opened (DataVersion): expected version {VERSION}, got {version}",
                hint="use the Towpath that wrote it, or move the directory away and push the images again",
            )
        connection.execute("PRAGMA journal_mode = WAL")
        for older in range(version or VERSION, VERSION):
            _upgrade(connection, older, now)
        # FULL: a tag that was acknowledged must not point back to an older image after a power cut.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA cache_size = -1024")
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.DatabaseError) and error.sqlite_errorname in {"SQLITE_NOTADB", "SQLITE_CORRUPT"}:
            raise DamagedContentError(
                f"registry catalog {path} cannot be opened (Damaged): {error}",
                hint=f"restore it, or move {path.parent} away: a push builds every service anew",
            ) from error
        raise
    return connection


def _create(connection: sqlite3.Connection) -> None:
    connection.executescript(
        f"BEGIN; {_TABLES} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; COMMIT;"
    )


def _upgrade(connection: sqlite3.Connection, older: int, now: float) -> None:
    step = _STEPS[older].format(now=float(now))
    connection.executescript(f"BEGIN IMMEDIATE; {step} PRAGMA user_version = {older + 1}; COMMIT;")


def _read(connection: sqlite3.Connection, pragma: str) -> int:
    (value,) = connection.execute(f"PRAGMA {pragma}").fetchone()
    return int(value)


def _has_tables(connection: sqlite3.Connection) -> bool:
    (count,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return bool(count)
