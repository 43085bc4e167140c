"""The catalog: which repository has which blobs, manifests and tags.

Reads are single look-ups and run on the event loop, on a connection of their own; changes run on the catalog's worker,
each a transaction that is on disk when it returns. Rules (what may be changed, by whom) are not known here, but two
that only a transaction can keep: a reference must exist when it is made, and an immutable tag does not move.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from towpath.registry.keeper.quota import Quota, Room
from towpath.registry.storage.disk import translate
from towpath.registry.storage.rows import ManifestRow, ReferrerRow, TagMove, Target, Targets
from towpath.registry.storage.schema import open_database

# 512: a descriptor without its annotations, generously.
DESCRIPTOR_BYTES = 512


class TagHeldError(Exception):
    """Internal: an immutable tag has another digest."""

    def __init__(self, tag: str, digest: str) -> None:
        super().__init__(tag)
        self.tag = tag
        self.digest = digest


class BlobNeededError(Exception):
    """Internal: a manifest of the repository refers to a blob."""


class UnknownTargetsError(Exception):
    """Internal: a manifest refers to what its repository does not have."""

    def __init__(self, targets: list[str]) -> None:
        super().__init__(", ".join(targets))
        self.targets = targets


class WrongSizesError(Exception):
    """Internal: a manifest gives things that are here another size than they have; each with its true size."""

    def __init__(self, found: list[tuple[Target, int]]) -> None:
        super().__init__(", ".join(target.digest for target, _ in found))
        self.found = found


class Catalog:
    """The names of one registry directory.

    Attributes:
        generation: counts changes; what was read before it was looked at is as it was while it stays the same.
    """

    def __init__(self, path: Path, *, now: Callable[[], float]) -> None:
        """Open it. `now` stamps what is pushed. Raises DataVersionError, StorageError."""
        self.path = path
        self._now = now
        self._quota = Quota()
        self.generation = 0
        self._writer = translate(partial(open_database, path, now=now()))
        try:
            self._reader = translate(partial(open_database, path, now=now()))
        except BaseException:
            self._writer.close()
            raise

    def close(self) -> None:
        """Close both connections."""
        self._reader.close()
        self._writer.close()

    def limit(self, quota: Quota) -> None:
        """Hold every change that adds bytes against this; what it refuses is undone."""
        self._quota = quota

    def find_room(self, repository: str) -> Room | None:
        """How many bytes the repository may still take; None without a limit."""
        return translate(partial(self._quota.find_room, self._reader, repository)) if self._quota else None

    # --- looking up -------------------------------------------------------------------------------------------------

    def has_repository(self, name: str) -> bool:
        """Whether anything was ever pushed there."""
        return self._one("SELECT id FROM repositories WHERE name = ?", name) is not None

    def find_blob_size(self, repository: str, digest: str) -> int | None:
        """The size of a blob that is linked into the repository, or None."""
        size: int | None = self._one(
            "SELECT size FROM blobs JOIN links USING (digest) JOIN repositories ON repository = id"
            " WHERE name = ? AND digest = ?",
            repository,
            digest,
        )
        return size

    def find_manifest(self, repository: str, digest: str) -> ManifestRow | None:
        """A manifest by digest, or None."""
        rows = self._rows(
            "SELECT digest, media_type, content, subject, artifact_type, annotations"
            " FROM manifests JOIN repositories ON repository = id WHERE name = ? AND digest = ?",
            repository,
            digest,
        )
        return ManifestRow(*rows[0]) if rows else None

    def find_tag(self, repository: str, tag: str) -> str | None:
        """The digest that a tag has, or None."""
        digest: str | None = self._one(
            "SELECT digest FROM tags JOIN repositories ON repository = id"
            " WHERE repositories.name = ? AND tags.name = ?",
            repository,
            tag,
        )
        return digest

    def tags(self, repository: str, *, after: str, limit: int) -> list[str]:
        """Tags in byte order, those after `after`."""
        return self._column(
            "SELECT tags.name FROM tags JOIN repositories ON repository = id"
            " WHERE repositories.name = ? AND tags.name > ? ORDER BY tags.name LIMIT ?",
            repository,
            after,
            limit,
        )

    def repositories(self, *, after: str = "") -> list[str]:
        """Names of repositories that hold a manifest, in byte order, those after `after`."""
        return self._column(
            "SELECT name FROM repositories WHERE name > ? AND id IN (SELECT repository FROM manifests) ORDER BY name",
            after,
        )

    def referrers(
        self, repository: str, subject: str, *, artifact_type: str, after: str, limit_bytes: int
    ) -> tuple[list[ReferrerRow], bool]:
        """Manifests whose subject is this digest, `limit_bytes` of them, and whether there are more."""
        query = (
            "SELECT digest, media_type, length(content), artifact_type, annotations FROM manifests"
            " JOIN repositories ON repository = id WHERE name = ? AND subject = ? AND subject != ''"
            " AND digest > ? AND (? = '' OR artifact_type = ?) ORDER BY digest"
        )

        def read() -> tuple[list[ReferrerRow], bool]:
            rows: list[ReferrerRow] = []
            room = limit_bytes
            for found in self._reader.execute(query, (repository, subject, after, artifact_type, artifact_type)):
                row = ReferrerRow(*found)
                room -= len(row.annotations) + DESCRIPTOR_BYTES
                if rows and room < 0:
                    return rows, True
                rows.append(row)
            return rows, False

        return translate(read)

    def holders(self, digest: str) -> list[str]:
        """Names of the repositories that have a blob."""
        return self._column(
            "SELECT name FROM links JOIN repositories ON repository = id WHERE digest = ? ORDER BY name", digest
        )

    def blobs(self) -> list[tuple[str, int]]:
        """All blobs with their sizes."""
        return self._rows("SELECT digest, size FROM blobs ORDER BY digest")

    def has_blob(self, digest: str) -> bool:
        """Whether any repository has this blob."""
        return self._one("SELECT 1 FROM blobs WHERE digest = ?", digest) is not None

    def find_mark(self, name: str) -> str | None:
        """What was noted under this name, or None."""
        value: str | None = self._one("SELECT value FROM marks WHERE name = ?", name)
        return value

    # --- changing (on the catalog's worker) -------------------------------------------------------------------------

    def link_blob(self, repository: str, digest: str, size: int) -> None:
        """Record a blob that is on disk, and that the repository has it."""
        with self.transaction() as writer:
            writer.execute(
                "INSERT INTO blobs (digest, size) VALUES (?, ?) ON CONFLICT DO UPDATE SET size = excluded.size",
                (digest, size),
            )
            self._link(repository, digest)

    def knows_blob(self, digest: str, *, size: int | None = None) -> bool:
        """Whether any repository was given this blob, of this size if one is said."""
        return self._has("blobs WHERE digest = ? AND size = coalesce(?, size)", digest, size)

    def mount_blob(self, repository: str, digest: str, source: str) -> bool:
        """Link a blob of another repository; False when that one does not have it."""
        with self.transaction() as writer:
            held = writer.execute(
                "SELECT 1 FROM links JOIN repositories ON repository = id WHERE name = ? AND digest = ?",
                (source, digest),
            ).fetchone()
            if held:
                self._link(repository, digest)
            return held is not None

    def unlink_blob(self, repository: str, digest: str, *, remove: Callable[[], None]) -> bool:
        """Take a blob from a repository; False when it was not there. `remove` is called when nobody has it then.

        Raises BlobNeededError: a manifest of the repository refers to it.
        """
        with self.transaction() as writer:
            # Here and not before: a manifest may have come while this waited for the worker.
            needing = "targets JOIN repositories ON repository = id WHERE name = ? AND target = ?"
            if self._has(needing, repository, digest):
                raise BlobNeededError
            found = writer.execute(
                "DELETE FROM links WHERE digest = ? AND repository = (SELECT id FROM repositories WHERE name = ?)",
                (digest, repository),
            )
            orphan = not writer.execute("SELECT 1 FROM links WHERE digest = ?", (digest,)).fetchone()
            if orphan:
                writer.execute("DELETE FROM blobs WHERE digest = ?", (digest,))
        # After the commit: a crash in between leaves a file without a row, which the next start sweeps.
        if found.rowcount and orphan:
            remove()
        return bool(found.rowcount)

    def put_manifest(
        self,
        repository: str,
        row: ManifestRow,
        *,
        targets: Targets,
        tags: Iterable[str],
        is_immutable: Callable[[str], bool],
    ) -> list[TagMove]:
        """Store a manifest and set its tags, all or nothing.

        Args:
            repository: where.
            row: the manifest.
            targets: what the manifest refers to.
            tags: the tags to set.
            is_immutable: which tags do not move.

        Raises:
            UnknownTargetsError: a reference does not exist.
            WrongSizesError: a reference has another size.
            TagHeldError: an immutable tag has another digest.
        """
        with self.transaction() as writer:
            number = self._repository(repository)
            self._require(number, targets)
            grows = not self._has("manifests WHERE repository = ? AND digest = ?", number, row.digest)
            values = (number, row.digest, row.media_type, row.content, row.subject, row.artifact_type, row.annotations)
            writer.execute(
                "INSERT INTO manifests VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                " media_type = excluded.media_type, content = excluded.content, pushed_at = excluded.pushed_at",
                (*values, self._now()),
            )
            writer.executemany(
                "INSERT OR IGNORE INTO targets (repository, target, manifest) VALUES (?, ?, ?)",
                [(number, target.digest, row.digest) for target in (*targets.blobs, *targets.children)],
            )
            moves = [self._set_tag(number, tag, row.digest, is_immutable) for tag in tags]
            self._check_quota(repository, grows=grows)
            return moves

    def _require(self, number: int, targets: Targets) -> None:
        if targets.sparse:
            return
        blob = "SELECT size FROM links JOIN blobs USING (digest) WHERE repository = ? AND digest = ?"
        manifest = "SELECT length(content) FROM manifests WHERE repository = ? AND digest = ?"
        beside = (
            "SELECT length(content) FROM manifests JOIN repositories ON repository = id WHERE name = ? AND digest = ?"
        )
        sizes = [(one, self._measure(blob, number, one.digest)) for one in targets.blobs]
        for one in targets.children:
            size = self._measure(manifest, number, one.digest)
            if size is None and one.beside:
                size = self._measure(beside, one.beside, one.digest)
            sizes.append((one, size))
        unknown = [one.digest for one, size in sizes if size is None]
        if unknown:
            raise UnknownTargetsError(unknown)
        sizes += [(one, self._measure(blob, number, one.digest)) for one in targets.optional]
        wrong = [(one, size) for one, size in sizes if size is not None and size != one.size]
        if wrong:
            raise WrongSizesError(wrong)

    def _measure(self, query: str, *values: object) -> int | None:
        row = self._writer.execute(query, values).fetchone()
        return None if row is None else int(row[0])

    def delete_manifest(self, repository: str, digest: str) -> bool:
        """Remove a manifest and all its tags; False when it was not there."""
        with self.transaction() as writer:
            found = writer.execute(
                "DELETE FROM manifests WHERE digest = ? AND repository = (SELECT id FROM repositories WHERE name = ?)",
                (digest, repository),
            )
            return bool(found.rowcount)

    def delete_tag(self, repository: str, tag: str) -> bool:
        """Remove a tag; False when it was not there."""
        with self.transaction() as writer:
            found = writer.execute(
                "DELETE FROM tags WHERE name = ? AND repository = (SELECT id FROM repositories WHERE name = ?)",
                (tag, repository),
            )
            return bool(found.rowcount)

    def set_mark(self, name: str, value: str) -> None:
        """Note something that must outlast a restart."""
        with self.transaction() as writer:
            writer.execute(
                "INSERT INTO marks VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", (name, value)
            )

    # --- pieces -----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One change, on disk when the block ends, undone when it raises; on the catalog's worker only."""
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            yield self._writer
            self._writer.execute("COMMIT")
            self.generation += 1
        except BaseException:
            # For want of space SQLite sometimes rolls back by itself, and sometimes leaves the transaction open.
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise

    def _repository(self, name: str) -> int:
        self._writer.execute("INSERT OR IGNORE INTO repositories (name) VALUES (?)", (name,))
        (number,) = self._writer.execute("SELECT id FROM repositories WHERE name = ?", (name,)).fetchone()
        return int(number)

    def _link(self, repository: str, digest: str) -> None:
        number = self._repository(repository)
        grows = not self._has("links WHERE repository = ? AND digest = ?", number, digest)
        self._writer.execute(
            "INSERT INTO links (repository, digest, linked_at) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET linked_at = excluded.linked_at",
            (number, digest, self._now()),
        )
        self._check_quota(repository, grows=grows)

    def _check_quota(self, repository: str, *, grows: bool) -> None:
        # What is here already may be pushed again whatever the limit: that is how damage heals.
        if grows and self._quota:
            self._quota.check(self._writer, repository)

    def _has(self, what: str, *values: object) -> bool:
        return self._writer.execute(f"SELECT 1 FROM {what}", values).fetchone() is not None  # noqa: S608 - our own text

    def _set_tag(self, number: int, tag: str, digest: str, is_immutable: Callable[[str], bool]) -> TagMove:
        row = self._writer.execute(
            "SELECT digest FROM tags WHERE repository = ? AND name = ?", (number, tag)
        ).fetchone()
        before = row[0] if row else ""
        if before and before != digest and is_immutable(tag):
            raise TagHeldError(tag, before)
        if before != digest:
            self._writer.execute(
                "INSERT INTO tags (repository, name, digest, set_at) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET digest = excluded.digest, set_at = excluded.set_at",
                (number, tag, digest, self._now()),
            )
        return TagMove(tag, before, digest)

    def _one(self, query: str, *values: object) -> Any:
        rows = self._rows(query, *values)
        return rows[0][0] if rows else None

    def _column(self, query: str, *values: object) -> list[str]:
        return [row[0] for row in self._rows(query, *values)]

    def _rows(self, query: str, *values: object) -> list[Any]:
        return translate(lambda: self._reader.execute(query, values).fetchall())
