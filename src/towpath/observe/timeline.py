"""When each commit passed each stage: received, fetched, built, pushed, planned, applied, ready.

The first stamp of a stage counts: work repeated after a restart does not rewrite history. The table is a cache (it is
lost with the data directory, and no decision rests on it), so it is written without waiting for the disk, a file that
cannot be read is started anew, and a disk that is full stops nothing.
Stages up to `pushed` belong to a commit; the later ones to a commit in an environment.
"""

import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from towpath.aio.clock import Clock
from towpath.aio.files import keep_private

COMMIT_STAGES = ("received", "fetched", "built", "pushed")
ENVIRONMENT_STAGES = ("planned", "applied", "ready")
STAGES = COMMIT_STAGES + ENVIRONMENT_STAGES
KEPT_COMMITS = 500
FORMAT = 1

log = logging.getLogger(__name__)

SCHEMA = """
CREATE TABLE IF NOT EXISTS stamps (
    revision TEXT NOT NULL, stage TEXT NOT NULL, environment TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (revision, stage, environment)
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Span:
    """One bar of a waterfall: the time from the stage before to this one, in seconds since `received`."""

    stage: str
    environment: str
    start_seconds: float
    end_seconds: float

    @property
    def seconds(self) -> float:
        """How long the stage took."""
        return self.end_seconds - self.start_seconds


@dataclass(frozen=True, slots=True)
class Waterfall:
    """The stages of one commit in one environment, in order; `received_at` is wall time."""

    commit: str
    environment: str
    received_at: float
    spans: tuple[Span, ...]

    @property
    def total_seconds(self) -> float:
        """From received to the last stage that was reached."""
        return self.spans[-1].end_seconds if self.spans else 0.0

    @property
    def is_ready(self) -> bool:
        """Whether the commit got as far as a ready workload."""
        return bool(self.spans) and self.spans[-1].stage == "ready"


class Timeline:
    """The stamps of all commits."""

    def __init__(self, path: Path, *, clock: Clock, on_stage: Callable[[str, Span], None] | None = None) -> None:
        """Open or create the table.

        Args:
            path: the SQLite file.
            clock: where the time comes from.
            on_stage: told the commit and the bar of every new stamp, where it is known when the push arrived.
        """
        self._clock = clock
        self._on_stage = on_stage
        self._database = _open(path)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def stamp(self, commit: str, stage: str, *, environment: str = "", at: float | None = None) -> None:
        """Note that `commit` has passed `stage`, at this moment or at wall time `at`; only the first time counts."""
        if stage not in STAGES:
            raise ValueError(f"stage {stage!r} is unknown: one of {', '.join(STAGES)}")
        moment = self._clock.now() if at is None else at
        try:
            written = self._database.execute(
                "INSERT OR IGNORE INTO stamps VALUES (?, ?, ?, ?)", (commit, stage, environment, moment)
            ).rowcount
            if written and stage == "received":
                self._forget_old()
        except sqlite3.Error as error:
            log.warning("stage %s of %s is not kept: %s", stage, commit[:7], error)
            return
        if not written:
            return
        if self._on_stage is not None:
            self._report(commit, stage, environment)

    def waterfall(self, commit: str, environment: str) -> Waterfall:
        """The waterfall of one commit; without spans if nothing is known of it."""
        rows = self._database.execute(
            "SELECT stage, at FROM stamps WHERE revision = ? AND environment IN ('', ?)", (commit, environment)
        )
        stamps: dict[str, float] = dict(rows)
        if not stamps:
            return Waterfall(commit, environment, 0.0, ())
        received_at = previous = stamps.get("received", min(stamps.values()))
        spans = []
        for stage in STAGES[1:]:
            at = stamps.get(stage)
            if at is None:
                continue
            # Stages of one commit can overlap (a channel may move before the set is recorded): a bar never is negative.
            end = max(at, previous)
            spans.append(
                Span(
                    stage, environment if stage in ENVIRONMENT_STAGES else "", previous - received_at, end - received_at
                )
            )
            previous = end
        return Waterfall(commit, environment, received_at, tuple(spans))

    def recent(self, environment: str, limit: int = 20) -> list[Waterfall]:
        """The waterfalls of the commits that reached `environment`, newest first."""
        rows = self._database.execute(
            "SELECT revision FROM stamps WHERE environment = ? GROUP BY revision ORDER BY MIN(at) DESC LIMIT ?",
            (environment, limit),
        ).fetchall()
        return [self.waterfall(commit, environment) for (commit,) in rows]

    def _report(self, commit: str, stage: str, environment: str) -> None:
        pushed = "SELECT 1 FROM stamps WHERE revision = ? AND stage = 'received'"
        if self._on_stage is None or self._database.execute(pushed, (commit,)).fetchone() is None:
            return
        for span in self.waterfall(commit, environment).spans:
            if span.stage == stage:
                self._on_stage(commit, span)

    def _forget_old(self) -> None:
        self._database.execute(
            "DELETE FROM stamps WHERE revision NOT IN"
            " (SELECT revision FROM stamps GROUP BY revision ORDER BY MAX(at) DESC LIMIT ?)",
            (KEPT_COMMITS,),
        )


def _open(path: Path) -> sqlite3.Connection:
    """The database; a file that cannot be used is replaced, and memory stands in where none can be written."""
    try:
        keep_private(path)
        return _prepare(str(path))
    except (sqlite3.Error, OSError) as error:
        log.warning("measurements in %s cannot be used and are started anew: %s", path, error)
    try:
        for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
            path.with_name(name).unlink(missing_ok=True)
        keep_private(path)
        return _prepare(str(path))
    except (sqlite3.Error, OSError) as error:
        log.warning("measurements are not kept over a restart: %s", error)
        return _prepare(":memory:")


def _prepare(path: str) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None)
    try:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version not in {0, FORMAT}:
            raise sqlite3.DatabaseError(f"they have format {version}, expected {FORMAT}")
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=OFF")
        database.execute(SCHEMA)
        if version != FORMAT:
            database.execute(f"PRAGMA user_version={FORMAT}")
        database.execute("SELECT revision, stage, environment, at FROM stamps LIMIT 1")
    except BaseException:
        database.close()
        raise
    return database
