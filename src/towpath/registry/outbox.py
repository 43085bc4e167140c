"""What outside listeners are to be told, kept in `outbox.db` until they have taken it, and a while longer.

Every event has a sequence number that only grows; each listener has its own place in the sequence, so one that is down
loses nothing, and one that asks can begin again anywhere in what is kept. An event is on disk before the push that it
tells of is acknowledged, unless it cannot be written (a full disk) or the process dies in between. Then it is made up
for: the tags that are are compared with those that were told, at the start and every minute (`notifications`). What a
tag named only in between is not told.

Functions block; their caller runs them on a thread. The file may be read and rewound by the command line meanwhile.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from towpath.aio.files import keep_private
from towpath.errors import NotFoundError, TowpathError, UserError

T = TypeVar("T")
FILE = "outbox.db"
FORMAT = 1
# 10 000 events of half a kilobyte: weeks of a small team's pushes, 5 MB.
KEPT_EVENTS = 10_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS listeners (url TEXT PRIMARY KEY, taken INTEGER NOT NULL, failures INTEGER NOT NULL DEFAULT 0,
    problem TEXT NOT NULL DEFAULT '') WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS told (repository TEXT NOT NULL, tag TEXT NOT NULL, digest TEXT NOT NULL,
    PRIMARY KEY (repository, tag)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event; `body` is what is sent."""

    sequence: int
    at: float
    body: bytes


@dataclass(frozen=True, slots=True)
class Turn:
    """What a listener is to be told next, and its place in the sequence when that was read."""

    event: StoredEvent
    taken: int


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told: how far it has come, and what stands in its way. `waiting` events are ahead of it."""

    url: str
    taken: int
    failures: int
    problem: str
    waiting: int


@dataclass(frozen=True, slots=True)
class ToldTag:
    """The tag that an event tells of, and what it points to from then on."""

    repository: str
    tag: str
    digest: str


class Outbox:
    """The outbox of one registry directory."""

    def __init__(self, root: Path, *, kept_events: int = KEPT_EVENTS, must_exist: bool = False) -> None:
        """Open it, made new when there is none.

        Raises:
            UserError: it is of another version, or there is none though it must exist.
            TowpathError: it cannot be read or written.
        """
        self._path = root / FILE
        self._kept = kept_events
        self._lock = threading.Lock()
        if must_exist and not self._path.exists():
            raise NotFoundError(
                f"{root} has no notifications (NotFound): nobody was ever to be told of pushes",
                hint="start the registry with --notify URL",
            )
        try:
            keep_private(self._path)
            self._connection = sqlite3.connect(self._path, isolation_level=None, timeout=30.0, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self.is_new = self._prepare()
        except (sqlite3.Error, OSError) as error:
            raise _describe(self._path, error) from error

    def close(self) -> None:
        """Let the file go."""
        with self._lock:
            self._connection.close()

    def listen(self, urls: Iterable[str]) -> None:
        """Have these listeners and no others; one that is new begins with the next event."""
        wanted = list(urls)

        def work(connection: sqlite3.Connection) -> None:
            known = {url for (url,) in connection.execute("SELECT url FROM listeners")}
            for url in known - set(wanted):
                connection.execute("DELETE FROM listeners WHERE url = ?", (url,))
            for url in set(wanted) - known:
                connection.execute("INSERT INTO listeners (url, taken) VALUES (?, ?)", (url, _newest(connection)))

        self._write(work)

    def add(
        self, tag: ToldTag, *, at: float, format_event: Callable[[int], bytes], unless_moved_from: str | None = None
    ) -> int | None:
        """Keep an event, durably.

        Args:
            tag: what it tells of.
            at: when it happened.
            format_event: makes the event, which may name its sequence number.
            unless_moved_from: what was told of the tag last; None not to ask. If something else was told meanwhile,
                nothing is kept.

        Returns:
            its sequence number; None when nothing is kept.
        """

        def work(connection: sqlite3.Connection) -> int | None:
            if unless_moved_from is not None and _told(connection, tag) != unless_moved_from:
                return None
            sequence = _newest(connection) + 1
            row = (sequence, at, format_event(sequence))
            connection.execute("INSERT INTO events (seq, at, body) VALUES (?, ?, ?)", row)
            connection.execute(
                "INSERT INTO told VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET digest = excluded.digest",
                (tag.repository, tag.tag, tag.digest),
            )
            connection.execute("DELETE FROM events WHERE seq <= ?", (sequence - self._kept,))
            return sequence

        return self._write(work)

    def take_stock(self, tags: Mapping[tuple[str, str], str]) -> None:
        """Hold these tags for told, and forget those that are gone; from then on the outbox is not new."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM told")
            rows = [(*key, digest) for key, digest in tags.items()]
            connection.executemany("INSERT INTO told VALUES (?, ?, ?)", rows)
            connection.execute(f"PRAGMA user_version = {FORMAT}")

        self._write(work)

    def told(self) -> dict[tuple[str, str], str]:
        """What listeners know of tags, by repository and tag."""
        rows = self._read("SELECT repository, tag, digest FROM told")
        return {(repository, tag): digest for repository, tag, digest in rows}

    def events(self, *, after: int, limit: int) -> list[StoredEvent]:
        """Kept events behind a sequence number, oldest first."""
        rows = self._read("SELECT seq, at, body FROM events WHERE seq > ? ORDER BY seq LIMIT ?", after, limit)
        return [StoredEvent(*row) for row in rows]

    def next_for(self, url: str) -> Turn | None:
        """What a listener is to be told next; None when it has taken all."""
        rows = self._read(
            "SELECT seq, at, body, taken FROM events, listeners WHERE url = ? AND seq > taken ORDER BY seq LIMIT 1",
            url,
        )
        return Turn(StoredEvent(*rows[0][:3]), rows[0][3]) if rows else None

    def taken(self, url: str, turn: Turn) -> None:
        """A listener has taken an event; unless it was rewound meanwhile, it goes on behind it."""
        self._execute(
            "UPDATE listeners SET taken = ?, failures = 0, problem = '' WHERE url = ? AND taken = ?",
            turn.event.sequence,
            url,
            turn.taken,
        )

    def failed(self, url: str, problem: str) -> None:
        """A listener did not take an event."""
        self._execute("UPDATE listeners SET failures = failures + 1, problem = ? WHERE url = ?", problem, url)

    def rewind(self, url: str, *, after: int) -> None:
        """Have a listener told again of everything behind a sequence number. Raises NotFoundError."""
        if url not in {listener.url for listener in self.listeners()}:
            known = ", ".join(listener.url for listener in self.listeners()) or "none"
            raise NotFoundError(
                f"listener {url} is not known (NotFound): there are {known}",
                hint="name one of them, as `towpath registry notifications` shows it",
            )
        self._execute("UPDATE listeners SET taken = ?, failures = 0, problem = '' WHERE url = ?", after, url)

    def listeners(self) -> list[Listener]:
        """Who is told, and how far each has come."""
        rows = self._read(
            "SELECT url, taken, failures, problem, (SELECT count(*) FROM events WHERE seq > taken) "
            "FROM listeners ORDER BY url"
        )
        return [Listener(*row) for row in rows]

    def _prepare(self) -> bool:
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            # The version comes with the first stock: until then nobody was told anything, and all tags are old.
            self._connection.executescript(f"BEGIN; {_SCHEMA} COMMIT")
            return True
        if version != FORMAT:
            self._connection.close()
            raise UserError(
                f"{self._path} cannot be read (Version): it has version {version}, expected {FORMAT}",
                hint="run the Towpath that wrote it, or move the file away",
            )
        return False

    def _read(self, query: str, *values: object) -> list[Any]:
        with self._lock:
            try:
                return self._connection.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise _describe(self._path, error) from error

    def _execute(self, query: str, *values: object) -> None:
        self._write(lambda connection: connection.execute(query, values))

    def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock, self._transaction() as connection:
            return work(connection)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise _describe(self._path, error) from error


def _told(connection: sqlite3.Connection, tag: ToldTag) -> str:
    query = "SELECT digest FROM told WHERE repository = ? AND tag = ?"
    row = connection.execute(query, (tag.repository, tag.tag)).fetchone()
    return str(row[0]) if row else ""


def _newest(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
    return int(row[0]) if row else 0


def _describe(path: Path, error: sqlite3.Error | OSError) -> TowpathError:
    problem = error.strerror if isinstance(error, OSError) else error
    return TowpathError(
        f"{path} cannot be used ({type(error).__name__}): {problem}", hint="is there space, and is the file yours?"
    )
