"""What CI must not forget over a crash: commits received but not finished, and the last reports.

    pending/<number>-<commit>  an empty file, durable before `add` returns, gone when the commit is finished
    reports/<commit>.json      the last report of a commit; the newest two hundred are kept

A cache like all of the data directory: without it the newest commit of the branch is still built.
"""

import re
from pathlib import Path

import orjson

from towpath.aio.files import sync_directory, write_durably
from towpath.ci.report import CiReport

# A year of a quiet homelab, or a busy week.
KEPT_REPORTS = 200
_PENDING = re.compile(r"\d{9,}-[0-9a-f]+")


class Journal:
    """The records of one repository's CI below one directory. Blocks, for a millisecond or so each."""

    def __init__(self, directory: Path) -> None:
        self._pending = directory / "pending"
        self._reports = directory / "reports"

    def open(self) -> None:
        """Create the directories. Raises OSError."""
        self._pending.mkdir(parents=True, exist_ok=True)
        self._reports.mkdir(parents=True, exist_ok=True)

    def add(self, commit: str) -> None:
        """Remember a received commit; it is on disk when this returns. Raises OSError."""
        names = self._names()
        if commit in names:
            return
        # A number, because two pushes within a tick of the file system's clock have the same time.
        number = max((int(path.name.partition("-")[0]) for path in names.values()), default=0) + 1
        (self._pending / f"{number:09}-{commit}").touch()
        sync_directory(self._pending)

    def finish(self, commit: str) -> None:
        """Forget a commit; being asked for it again after a crash does no harm."""
        path = self._names().get(commit)
        if path is not None:
            path.unlink(missing_ok=True)

    def pending(self) -> list[str]:
        """Commits received and not finished, in the order they came."""
        return list(self._names())

    def save(self, report: CiReport) -> None:
        """Keep the last report of a commit. Raises OSError."""
        write_durably(self._path(report.commit), orjson.dumps(report.to_json()))
        for path in self._newest_first()[KEPT_REPORTS:]:
            path.unlink(missing_ok=True)

    def find(self, commit: str) -> CiReport | None:
        """The last report of a commit, if it is kept and readable."""
        try:
            return CiReport.from_json(orjson.loads(self._path(commit).read_bytes()))
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def latest(self, limit: int = 50) -> list[CiReport]:
        """The newest reports, newest first."""
        reports = (self.find(path.stem) for path in self._newest_first()[:limit])
        return [report for report in reports if report is not None]

    def _names(self) -> dict[str, Path]:
        """The files of pending commits, in the order they came; anything else in the directory is not ours."""
        paths = [path for path in self._pending.iterdir() if _PENDING.fullmatch(path.name)]
        return {path.name.partition("-")[2]: path for path in sorted(paths)}

    def _path(self, commit: str) -> Path:
        return self._reports / f"{commit}.json"

    def _newest_first(self) -> list[Path]:
        paths = [path for path in self._reports.glob("*.json") if not path.name.startswith(".")]
        return sorted(paths, key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)
