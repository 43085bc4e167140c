"""The bounded log of changes, from which watches resume and paged lists stay consistent.

Bounded by revisions and by bytes, and separately for chatter, so that a crash loop's Events do not push out the
changes that a reconnecting client needs. Trimmed in passing by writes, never by a timer.
"""

import sqlite3

from towpath.cluster.kernel.changes import Change
from towpath.cluster.kernel.database import storage_errors
from towpath.kube.objects import ObjectKey
from towpath.kube.requests import EventType

RETAINED_REVISIONS = 4096  # a client that was away for a while resumes without a new list
RETAINED_CHATTER = 512
RETAINED_BYTES = 32 * 1024 * 1024  # what huge ConfigMaps may cost
TRIM_EVERY = 128  # revisions: trimming a batch is cheaper than trimming always


def is_chatter(key: ObjectKey) -> bool:
    """Whether objects of this kind are many, small and soon forgotten."""
    return key.kind == "Event"


def kind_column(key: ObjectKey) -> str:
    """Group and kind as one column: `Deployment.apps`."""
    return f"{key.kind}.{key.group}"


def stored_key(column: str, namespace: str, name: str) -> ObjectKey:
    """The inverse of `kind_column`, with the other two columns of a key."""
    kind, _, group = column.partition(".")
    return ObjectKey(group, kind, namespace, name)


class ChangeLog:
    """Changes by revision. All its writes happen inside the store's transactions."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        with storage_errors():
            row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'log'").fetchone()
            size = "SELECT coalesce(sum(length(body) + coalesce(length(previous), 0)), 0) FROM log"
            self.revision: int = row[0] if row else 0
            self._bytes: int = connection.execute(size).fetchone()[0]
            self._trimmed: dict[int, int] = dict(connection.execute("SELECT chatter, revision FROM trimmed"))
        self._saved = (self.revision, self._bytes, dict(self._trimmed))

    def begin(self) -> None:
        """Remember what `undo` returns to."""
        self._saved = (self.revision, self._bytes, dict(self._trimmed))

    def undo(self) -> None:
        """Forget all since `begin`: the transaction is rolled back."""
        self.revision, self._bytes, self._trimmed = self._saved

    def append(self, change: Change) -> None:
        """Add the newest change."""
        key = change.key
        names = (kind_column(key), key.namespace, key.name)
        with storage_errors():
            self._connection.execute(
                "INSERT INTO log (revision, chatter, type, kind, namespace, name, body, previous)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (change.revision, is_chatter(key), str(change.type), *names, change.body, change.previous),
            )
        self.revision = change.revision
        self._bytes += len(change.body) + len(change.previous or b"")

    def oldest(self, kind: ObjectKey) -> int:
        """The oldest revision after which all changes of this kind are known."""
        return self._trimmed[int(is_chatter(kind))]

    def since(self, revision: int, kind: ObjectKey) -> list[Change]:
        """Changes of a kind after a revision, oldest first; a namespace in `kind` restricts."""
        where = "kind = ? AND revision > ?" + (" AND namespace = ?" if kind.namespace else "")
        arguments = [kind_column(kind), revision, *([kind.namespace] if kind.namespace else [])]
        with storage_errors():
            rows = self._connection.execute(
                "SELECT type, kind, namespace, name, revision, body, previous FROM log"  # noqa: S608 - `where` is ours
                f" WHERE {where} ORDER BY revision",
                arguments,
            ).fetchall()
        return [
            Change(EventType(kind_of_event), stored_key(*names), revision=number, body=body, previous=previous)
            for kind_of_event, *names, number, body, previous in rows
        ]

    def trim(self) -> None:
        """Drop what is too old, now and then."""
        if self.revision // TRIM_EVERY == self._saved[0] // TRIM_EVERY and self._bytes <= RETAINED_BYTES:
            return
        floors = {0: self.revision - RETAINED_REVISIONS, 1: self.revision - RETAINED_CHATTER}
        if self._bytes > RETAINED_BYTES:
            # Half the log at once, so that the next trim for bytes is far away.
            with storage_errors():
                middle = "SELECT revision FROM log ORDER BY revision LIMIT 1 OFFSET (SELECT count(*) / 2 FROM log)"
                half: int = self._connection.execute(middle).fetchone()[0]
            floors = {chatter: max(floor, half) for chatter, floor in floors.items()}
        for chatter, floor in floors.items():
            self._drop(chatter, floor)

    def _drop(self, chatter: int, floor: int) -> None:
        if floor <= self._trimmed[chatter]:
            return
        with storage_errors():
            dropped: int = self._connection.execute(
                "SELECT coalesce(sum(length(body) + coalesce(length(previous), 0)), 0) FROM log"
                " WHERE revision <= ? AND chatter = ?",
                (floor, chatter),
            ).fetchone()[0]
            self._connection.execute("DELETE FROM log WHERE revision <= ? AND chatter = ?", (floor, chatter))
            self._connection.execute("UPDATE trimmed SET revision = ? WHERE chatter = ?", (floor, chatter))
        self._bytes -= dropped
        self._trimmed[chatter] = floor
