"""The kernel's memory on disk: the current objects, and through `log` their recent changes.

Rules:
 * one writer, the event loop; a transaction per request, so that a request and its consequences (garbage collection,
   namespace content) are written together or not at all;
 * one global revision, the `resourceVersion` of every object, which never goes back, not even after power loss;
 * bodies are the final JSON bytes, with their revision inside;
 * listeners hear of changes after their commit, never before;
 * nothing is written when nothing happens: expired rows are hidden from readers until a later write sweeps them.

What the bytes mean is decided by `writing`, `deletion` and `gc`.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from towpath.cluster.kernel.changes import Change, decode, encode
from towpath.cluster.kernel.database import open_database, storage_errors
from towpath.cluster.kernel.log import ChangeLog, kind_column, stored_key
from towpath.kube.objects import Object, ObjectKey, owners_of, uid_of
from towpath.kube.requests import EventType

COLUMNS = "kind, namespace, name, revision, uid, body"
NAMED = "kind = ? AND namespace = ? AND name = ?"
ALIVE = "(expires IS NULL OR expires > ?)"
OWNED = "(kind, namespace, name) IN (SELECT kind, namespace, name FROM owner"


@dataclass(frozen=True, slots=True)
class Record:
    """One current object as stored."""

    key: ObjectKey
    revision: int
    uid: str
    body: bytes

    def parse(self) -> Object:
        """A fresh copy of the object."""
        return decode(self.body)


class Store:
    """Current objects and their recent changes."""

    def __init__(self, directory: Path, *, now: Callable[[], float]) -> None:
        """Open the store in `directory`; raises what `open_database` raises. `now` is wall time, for expiry."""
        self._connection = open_database(directory)
        self._now = now
        self._changes: list[Change] | None = None  # of the open transaction
        self._listeners: list[Callable[[list[Change]], None]] = []
        try:
            self.log = ChangeLog(self._connection)
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Move the write-ahead log into the main file and let go of it."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()

    @property
    def revision(self) -> int:
        """The newest revision; inside a transaction, also of what is not committed yet."""
        return self.log.revision

    def find(self, key: ObjectKey) -> Record | None:
        """One current object."""
        rows = self._select(f"{NAMED} AND {ALIVE}", kind_column(key), key.namespace, key.name, self._now())
        return rows[0] if rows else None

    def find_uid(self, uid: str) -> Record | None:
        """The current object with this uid."""
        rows = self._select("uid = ?", uid)
        return rows[0] if rows else None

    def records(self, kind: ObjectKey) -> list[Record]:
        """Current objects of a group and kind in order of namespace and name; a namespace in `kind` restricts."""
        if kind.namespace:
            where = f"kind = ? AND namespace = ? AND {ALIVE} ORDER BY name"
            return self._select(where, kind_column(kind), kind.namespace, self._now())
        return self._select(f"kind = ? AND {ALIVE} ORDER BY namespace, name", kind_column(kind), self._now())

    def content(self, namespace: str) -> list[Record]:
        """Everything inside a namespace, oldest first."""
        return self._select("namespace = ? ORDER BY id", namespace)

    def dependents(self, uid: str) -> list[Record]:
        """The objects that name `uid` as an owner, oldest first."""
        return self._select(f"{OWNED} WHERE uid = ?) ORDER BY id", uid)

    def owned(self) -> list[Record]:
        """Every object that names an owner."""
        return self._select(f"{OWNED}) ORDER BY id")

    def on_commit(self, listener: Callable[[list[Change]], None]) -> None:
        """Tell `listener` the changes of every transaction that made any, once they are on disk."""
        self._listeners.append(listener)

    @contextlib.contextmanager
    def transaction(self, *, keep: bool = True) -> Iterator[list[Change]]:
        """Write inside this, or not at all. Yields the growing list of the changes made so far.

        Args:
            keep: False undoes everything at the end (a dry run).

        Raises:
            StorageError: the disk refused; nothing was kept.
        """
        changes: list[Change] = []
        kept = False
        with storage_errors():
            self._leave_failed_transaction()
            self.log.begin()
            self._connection.execute("BEGIN IMMEDIATE")
            self._changes = changes
            try:
                yield changes
                if keep:
                    self.log.trim()
                    self._connection.execute("COMMIT")
                    kept = True
            finally:
                self._changes = None
                if not kept:
                    self.log.undo()
                    with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back by itself
                        self._connection.execute("ROLLBACK")
        if changes and kept:
            for listener in self._listeners:
                listener(changes)

    def put(self, key: ObjectKey, obj: Object, *, expires: float | None = None) -> Object:
        """Store an object under the next revision, which is written into it. Returns it."""
        previous = self.find(key)
        revision = self._stamp(obj)
        names = (kind_column(key), key.namespace, key.name)
        body = encode(obj)
        with storage_errors():
            self._connection.execute(
                "INSERT INTO object (kind, namespace, name, revision, uid, expires, body) VALUES (?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (kind, namespace, name) DO UPDATE SET"
                " revision = excluded.revision, uid = excluded.uid, expires = excluded.expires, body = excluded.body",
                (*names, revision, uid_of(obj), expires, body),
            )
        old = previous.parse() if previous and b'"ownerReferences"' in previous.body else {}
        self._replace_owners(names, old=old, new=obj)
        event = EventType.MODIFIED if previous else EventType.ADDED
        before = previous.body if previous else None
        self._record(Change(event, key, revision=revision, body=body, previous=before))
        return obj

    def remove(self, record: Record, last: Object | None = None) -> Object:
        """Remove an object; its last state gets the next revision. Returns that state."""
        obj = record.parse() if last is None else last
        revision = self._stamp(obj)
        names = (kind_column(record.key), record.key.namespace, record.key.name)
        with storage_errors():
            self._connection.execute(f"DELETE FROM object WHERE {NAMED}", names)  # noqa: S608 - a constant
        self._replace_owners(names, old=record.parse(), new={})
        event = EventType.DELETED
        self._record(Change(event, record.key, revision=revision, body=encode(obj), previous=record.body))
        return obj

    def sweep_expired(self) -> None:
        """Remove what has expired, in a transaction that writes anyway."""
        for record in self._select("expires IS NOT NULL AND expires <= ?", self._now()):
            self.remove(record)

    def _leave_failed_transaction(self) -> None:
        """Undo what a failed ROLLBACK left open, so that nobody reads what was never committed."""
        if self._changes is None and self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _select(self, where: str, *arguments: object) -> list[Record]:
        with storage_errors():
            self._leave_failed_transaction()
            rows = self._connection.execute(f"SELECT {COLUMNS} FROM object WHERE {where}", arguments).fetchall()  # noqa: S608
        return [Record(stored_key(*row[:3]), *row[3:]) for row in rows]

    def _stamp(self, obj: Object) -> int:
        revision = self.log.revision + 1
        obj["metadata"]["resourceVersion"] = str(revision)
        return revision

    def _replace_owners(self, names: tuple[str, str, str], *, old: Object, new: Object) -> None:
        before = {owner.uid for owner in owners_of(old)}
        after = {owner.uid for owner in owners_of(new)}
        with storage_errors():
            for uid in before - after:
                self._connection.execute(f"DELETE FROM owner WHERE uid = ? AND {NAMED}", (uid, *names))  # noqa: S608
            for uid in after - before:
                self._connection.execute("INSERT OR IGNORE INTO owner VALUES (?, ?, ?, ?)", (uid, *names))

    def _record(self, change: Change) -> None:
        if self._changes is None:
            raise RuntimeError("the store is written inside a transaction only")
        self.log.append(change)
        self._changes.append(change)
