"""Reads everything a catalog knows, at one moment, on a connection of its own: pushes and pulls go on meanwhile.

For the keeper's plans, counts and scrubs; single look-ups are `catalog`'s.
"""

import sqlite3
from collections import defaultdict
from contextlib import closing
from pathlib import Path

from towpath.oci import media
from towpath.oci.digest import Digest
from towpath.registry.keeper.facts import Facts, LinkFact, ManifestFact, TagFact


def read_facts(path: Path, *, touches: dict[tuple[str, str], float], started_at: float) -> Facts:
    """A snapshot of the catalog; what leases know is added. Raises sqlite3.Error."""
    with closing(_connect(path)) as connection:
        # One transaction, so that all tables are from one moment.
        connection.execute("BEGIN")
        names: dict[int, str] = dict(connection.execute("SELECT id, name FROM repositories"))
        targets: dict[tuple[int, str], list[str]] = defaultdict(list)
        for repository, manifest, target in connection.execute("SELECT repository, manifest, target FROM targets"):
            targets[repository, manifest].append(target)
        tags: dict[tuple[int, str], list[TagFact]] = defaultdict(list)
        for repository, digest, name, set_at in connection.execute(
            "SELECT repository, digest, name, set_at FROM tags ORDER BY name"
        ):
            tags[repository, digest].append(TagFact(name, set_at))
        manifests = [
            ManifestFact(
                repository=names[repository],
                digest=digest,
                size=size,
                pushed_at=pushed_at,
                is_index=media.is_index(media_type),
                targets=tuple(targets[repository, digest]),
                subject=subject,
                tags=tuple(tags[repository, digest]),
            )
            for repository, digest, size, pushed_at, media_type, subject in connection.execute(
                "SELECT repository, digest, length(content), pushed_at, media_type, subject FROM manifests"
                " ORDER BY pushed_at, rowid"
            )
        ]
        links = [
            LinkFact(names[repository], digest, linked_at)
            for repository, digest, linked_at in connection.execute("SELECT repository, digest, linked_at FROM links")
        ]
        sizes: dict[str, int] = dict(connection.execute("SELECT digest, size FROM blobs"))
    return Facts(tuple(manifests), tuple(links), sizes, touches, started_at)


def find_damaged_manifests(path: Path) -> list[tuple[str, str]]:
    """Repository and digest of every manifest whose bytes are not what its digest says. Raises sqlite3.Error."""
    with closing(_connect(path)) as connection:
        rows = connection.execute(
            "SELECT name, digest, content FROM manifests JOIN repositories ON repository = id ORDER BY name, digest"
        )
        return [(name, digest) for name, digest, content in rows if not Digest.parse(digest).matches(content)]


def count_blobs(path: Path) -> tuple[int, int]:
    """How many blobs there are, and how many bytes they have together. Raises sqlite3.Error."""
    with closing(_connect(path)) as connection:
        count, size = connection.execute("SELECT count(*), coalesce(sum(size), 0) FROM blobs").fetchone()
    return int(count), int(size)


def read_tags(path: Path) -> dict[tuple[str, str], str]:
    """The digest of every tag, by repository and tag. Raises sqlite3.Error."""
    with closing(_connect(path)) as connection:
        rows = connection.execute(
            "SELECT r.name, t.name, t.digest FROM tags t JOIN repositories r ON t.repository = r.id"
        )
        return {(repository, tag): digest for repository, tag, digest in rows}


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
