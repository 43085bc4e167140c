"""The collector's changes to a catalog: each a short transaction on the catalog's worker, each checked again in it.

Rows go before files: a crash in between leaves a file without a row, which the next start sweeps; never a row without
a file. Both happen in one piece of work of the catalog's worker, so that a push of the same content comes before or
after it as a whole.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence

from towpath.registry.keeper.facts import LinkFact, ManifestFact
from towpath.registry.storage.catalog import Catalog


def remove_manifests(catalog: Catalog, facts: Sequence[ManifestFact], is_leased: Callable[[str, str], bool]) -> int:
    """Remove manifests of one repository that are as they were in the plan; how many that are.

    One that was pushed or tagged again since, that somebody asked for, that an index names, or whose subject is (still,
    or again) there, stays.
    """
    removed = 0
    with catalog.transaction() as writer:
        for fact in facts:
            number = _number(writer, fact.repository)
            if is_leased(fact.repository, fact.digest) or not _is_unchanged(writer, number, fact):
                continue
            writer.execute("DELETE FROM manifests WHERE repository = ? AND digest = ?", (number, fact.digest))
            removed += 1
    return removed


def remove_links(
    catalog: Catalog,
    links: Sequence[LinkFact],
    is_leased: Callable[[str, str], bool],
    *,
    remove_files: Callable[[Iterable[str]], None],
) -> int:
    """Take blobs from a repository that needs them no more; the bytes of those that nobody has then.

    One that a manifest needs, that was pushed or mounted again since, or that somebody asked for, stays.
    """
    orphans: list[tuple[str, int]] = []
    with catalog.transaction() as writer:
        for link in links:
            number = _number(writer, link.repository)
            if is_leased(link.repository, link.digest) or not _is_unneeded(writer, number, link):
                continue
            writer.execute("DELETE FROM links WHERE repository = ? AND digest = ?", (number, link.digest))
            if writer.execute("SELECT 1 FROM links WHERE digest = ?", (link.digest,)).fetchone():
                continue
            (size,) = writer.execute("SELECT size FROM blobs WHERE digest = ?", (link.digest,)).fetchone()
            writer.execute("DELETE FROM blobs WHERE digest = ?", (link.digest,))
            orphans.append((link.digest, size))
    remove_files(digest for digest, _ in orphans)
    return sum(size for _, size in orphans)


def _number(writer: sqlite3.Connection, repository: str) -> int | None:
    row = writer.execute("SELECT id FROM repositories WHERE name = ?", (repository,)).fetchone()
    return row[0] if row else None


def _is_unchanged(writer: sqlite3.Connection, number: int | None, fact: ManifestFact) -> bool:
    row = writer.execute(
        "SELECT pushed_at FROM manifests WHERE repository = ? AND digest = ?", (number, fact.digest)
    ).fetchone()
    if row is None or row[0] != fact.pushed_at:
        return False
    if writer.execute("SELECT 1 FROM targets WHERE target = ?", (fact.digest,)).fetchone():
        return False
    for subject in fact.subjects:
        if writer.execute("SELECT 1 FROM manifests WHERE repository = ? AND digest = ?", (number, subject)).fetchone():
            return False
    tags = writer.execute(
        "SELECT name, set_at FROM tags WHERE repository = ? AND digest = ?", (number, fact.digest)
    ).fetchall()
    return set(tags) <= {(tag.name, tag.set_at) for tag in fact.tags}


def _is_unneeded(writer: sqlite3.Connection, number: int | None, link: LinkFact) -> bool:
    row = writer.execute(
        "SELECT linked_at FROM links WHERE repository = ? AND digest = ?", (number, link.digest)
    ).fetchone()
    if row is None or row[0] != link.linked_at:
        return False
    needed = "SELECT 1 FROM targets WHERE repository = ? AND target = ?"
    return writer.execute(needed, (number, link.digest)).fetchone() is None
