"""The catalog of an older version is brought up in place, and loses nothing."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from fakes.clock import START, VirtualClock
from fakes.registry_api import open_api
from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.manifest import Manifest, format_manifest
from towpath.registry.errors import DataVersionError
from towpath.registry.keeper.evidence import NoEvidence
from towpath.registry.keeper.policy import Policy
from towpath.registry.storage.schema import APPLICATION_ID, VERSION, open_database

# As version 1 made them.
VERSION_1 = """
CREATE TABLE repositories (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE blobs (digest TEXT PRIMARY KEY, size INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE links (
    repository INTEGER NOT NULL REFERENCES repositories (id),
    digest TEXT NOT NULL REFERENCES blobs (digest),
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
CREATE TABLE tags (
    repository INTEGER NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (repository, name),
    FOREIGN KEY (repository, digest) REFERENCES manifests (repository, digest) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX tags_by_digest ON tags (repository, digest);
"""
CONFIG = Descriptor(media.OCI_CONFIG, Digest.of(b"{}"), 2)
RAW = format_manifest(Manifest(CONFIG, ()))
DIGEST = str(Digest.of(RAW))


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A registry's directory as version 1 left it: one image under a tag."""
    root = tmp_path / "registry"
    blob = root / "blobs" / "sha256" / CONFIG.digest.hex[:2] / CONFIG.digest.hex
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"{}")
    database = sqlite3.connect(root / "catalog.db")
    database.executescript(VERSION_1)
    database.execute("INSERT INTO repositories VALUES (1, 'lab/app')")
    database.execute("INSERT INTO blobs VALUES (?, 2)", (str(CONFIG.digest),))
    database.execute("INSERT INTO links VALUES (1, ?)", (str(CONFIG.digest),))
    database.execute("INSERT INTO manifests VALUES (1, ?, ?, ?, '', '', '{}')", (DIGEST, media.OCI_MANIFEST, RAW))
    database.execute("INSERT INTO targets VALUES (1, ?, ?)", (str(CONFIG.digest), DIGEST))
    database.execute("INSERT INTO tags VALUES (1, 'v1', ?)", (DIGEST,))
    database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    database.execute("PRAGMA user_version = 1")
    database.commit()
    database.close()
    return root


def shape(path: Path) -> set[tuple[str, str, str]]:
    """Tables with their columns, and indexes."""
    database = sqlite3.connect(path)
    names = database.execute("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall()
    found = {(kind, name, "") for kind, name in names}
    for kind, name in names:
        if kind == "table":
            found |= {("column", name, column[1]) for column in database.execute(f"PRAGMA table_info ({name})")}
    database.close()
    return found


async def test_everything_is_there_after_the_change_and_can_be_pulled_pushed_and_collected(old: Path) -> None:
    async with open_api(old, VirtualClock()) as api:
        assert (await api.ask("GET", "/v2/lab/app/manifests/v1")).content == RAW
        assert (await api.ask("GET", f"/v2/lab/app/blobs/{CONFIG.digest}")).content == b"{}"
        assert (await api.put(await api.prepare_manifest(b"new"), "v2")).status_code == 201
        assert (await api.ask("DELETE", "/v2/lab/app/manifests/v1")).status_code == 202
        facts = await api.registry.collector.survey()
        assert {fact.pushed_at for fact in facts.manifests} == {START}
        await api.registry.collector.collect(NoEvidence(), Policy(settling_seconds=0.0))
        assert (await api.ask("GET", f"/v2/lab/app/manifests/{DIGEST}")).status_code == 200, "young since the change"
        await api.clock.advance(86_400)
        await api.registry.collector.collect(NoEvidence(), Policy(settling_seconds=0.0))
        assert (await api.ask("GET", f"/v2/lab/app/manifests/{DIGEST}")).status_code == 404


def test_an_old_catalog_becomes_what_a_new_one_is(old: Path, tmp_path: Path) -> None:
    open_database(old / "catalog.db", now=START).close()
    open_database(tmp_path / "new.db", now=START).close()

    assert shape(old / "catalog.db") == shape(tmp_path / "new.db")
    with sqlite3.connect(old / "catalog.db") as database:
        assert database.execute("PRAGMA user_version").fetchone() == (VERSION,)
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    database.close()


def test_a_change_that_fails_leaves_the_catalog_as_it_was(old: Path) -> None:
    database = sqlite3.connect(old / "catalog.db")
    database.execute("CREATE TABLE marks (other INTEGER)")  # what the change wants to make
    database.close()
    before = shape(old / "catalog.db")
    with pytest.raises(sqlite3.OperationalError):
        open_database(old / "catalog.db", now=START)

    assert shape(old / "catalog.db") == before


@pytest.mark.parametrize("version", [0, VERSION + 1])
def test_a_version_of_the_future_or_of_nobody_is_refused(old: Path, version: int) -> None:
    database = sqlite3.connect(old / "catalog.db")
    database.execute(f"PRAGMA user_version = {version}")
    database.close()
    with pytest.raises(DataVersionError):
        asyncio.run(open_and_close(old))


async def open_and_close(root: Path) -> None:
    async with open_api(root, VirtualClock()):
        pass
