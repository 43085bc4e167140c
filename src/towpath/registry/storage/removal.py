"""The collector's changes to a catalog: each a short transaction on the catalog's worker, each checked again in it.

Rows go before files: a crash in between leaves a file without a row, which the next start sweeps; never a row without
a file. Both happen in one piece of work of the catalog's worker, so that a push of the same content comes before or
after it as a whole.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence

from towpath.registry.keeper.facts import LinkFact, ManifestFact
from towpath.registry.leases import Leases
from towpath.registry.storage.catalog import Catalog

# Each by a repository's name and a digest.
_DELETE_MANIFEST = (
    "DELETE FROM manifests WHERE repository = (SELECT id FROM repositories WHERE name = ?) AND digest = ?"
)
_DELETE_LINK = "DELETE FROM links WHERE repository = (SELECT id FROM repositories WHERE name = ?) AND digest = ?"
_MANIFEST = "SELECT pushed_at FROM manifests JOIN repositories ON repository = id WHERE name = ? AND digest = ?"
_LINK = "SELECT linked_at FROM links JOIN repositories ON repository = id WHERE name = ? AND digest = ?"
_TARGET = "SELECT 1 FROM targets JOIN repositories ON repository = id WHERE name = ? AND target = ?"
_TAGS = "SELECT t.name, set_at FROM tags t JOIN repositories r ON repository = id WHERE r.name = ? AND digest = ?"


def remove_manifests(catalog: Catalog, facts: Sequence[ManifestFact], leases: Leases, *, since: float) -> int:
    """Remove manifests of one repository that are as they were in the plan; how many that are.

    One that was pushed or tagged again, that somebody has asked for since, that an index names, or whose subject is
    (still, or again) there, stays.
    """
    by_key = {fact.key: fact for fact in facts}
    # The sentences are in force until the transaction has ended.
    with leases.sentences() as judge, catalog.transaction() as writer:
        going = judge(by_key, since, lambda key: _is_unchanged(writer, by_key[key]))
        writer.executemany(_DELETE_MANIFEST, going)
    return len(going)


def remove_links(
    catalog: Catalog,
    links: Sequence[LinkFact],
    leases: Leases,
    *,
    since: float,
    remove_files: Callable[[Iterable[str]], None],
) -> int:
    """Take blobs from a repository that needs them no more; the bytes of those that nobody has then.

    One that a manifest needs, that was pushed or mounted again, or that somebody has asked for since, stays.
    """
    by_key = {link.key: link for link in links}
    orphans: list[tuple[str, int]] = []
    with leases.sentences() as judge:
        with catalog.transaction() as writer:
            going = judge(by_key, since, lambda key: _is_unneeded(writer, by_key[key]))
            writer.executemany(_DELETE_LINK, going)
            for _, digest in going:
                if writer.execute("SELECT 1 FROM links WHERE digest = ?", (digest,)).fetchone():
                    continue
                (size,) = writer.execute("SELECT size FROM blobs WHERE digest = ?", (digest,)).fetchone()
                writer.execute("DELETE FROM blobs WHERE digest = ?", (digest,))
                orphans.append((digest, size))
        remove_files(digest for digest, _ in orphans)
    return sum(size for _, size in orphans)


def _is_unchanged(writer: sqlite3.Connection, fact: ManifestFact) -> bool:
    row = writer.execute(_MANIFEST, fact.key).fetchone()
    if row is None or row[0] != fact.pushed_at:
        return False
    if writer.execute("SELECT 1 FROM targets WHERE target = ?", (fact.digest,)).fetchone():
        return False
    for subject in fact.subjects:
        if writer.execute(_MANIFEST, (fact.repository, subject)).fetchone():
            return False
    tags = writer.execute(_TAGS, fact.key).fetchall()
    return set(tags) <= {(tag.name, tag.set_at) for tag in fact.tags}


def _is_unneeded(writer: sqlite3.Connection, link: LinkFact) -> bool:
    row = writer.execute(_LINK, link.key).fetchone()
    if row is None or row[0] != link.linked_at:
        return False
    return writer.execute(_TARGET, link.key).fetchone() is None
