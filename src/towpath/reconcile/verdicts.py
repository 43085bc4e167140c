"""What became of each release: healthy since when, degraded and why, rolled back; and for how long without a break.

A verdict belongs to (environment, service, digest). It changes with what the cluster proves, and each change worth
keeping is one JSON line in a note on the commit that built the artifact, so a restart neither loses nor invents soak
time:
 * healthy since = the later of the noted moment and the latest start or readiness of a pod (the cluster's own record);
 * an interruption (a restart, a pod not ready) ends it; what follows counts from anew;
 * a flapping workload writes fewer and fewer notes; memory always has the exact state.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Protocol

from towpath.aio.backoff import Backoff
from towpath.aio.clock import Clock, format_rfc3339, parse_rfc3339
from towpath.errors import TowpathError

log = logging.getLogger(__name__)
RECORD_KIND = "verdict"
# Three notes of one release at once are a story; after that at most one a minute, then fewer, at last one an hour.
_FREE_NOTES = 3
_NOTE_PAUSE = Backoff(initial_seconds=60.0, factor=2.0, cap_seconds=3600.0)
# Kubernetes writes whole seconds: a noted moment and a pod's may differ by so much and still be the same.
_CLOCK_GRAIN_SECONDS = 2.0


class Outcome(StrEnum):
    """What became of a release."""

    PENDING = "pending"
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    ROLLED_BACK = "rolled-back"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One release's fate. `since` is wall time in seconds; of a healthy one, when the unbroken health began."""

    environment: str
    service: str
    digest: str
    outcome: Outcome
    since: float
    reason: str = ""
    tag: str = ""
    revision: str = ""


@dataclass(frozen=True, slots=True)
class Observation:
    """What is seen of one release at a moment: `healthy_since` as the pods prove it, None while not healthy."""

    environment: str
    service: str
    digest: str
    tag: str
    revision: str
    healthy_since: float | None
    degraded: bool
    message: str


class VerdictLog(Protocol):
    """Where verdicts last: the notes of the platform repository."""

    async def append_note(self, commit: str, line: str) -> None:
        """Add a line to the notes of a commit."""
        ...

    async def all_notes(self) -> Mapping[str, list[str]]:
        """Every note line, by commit."""
        ...


@dataclass(slots=True)
class _Notes:
    written: int = 0
    last_at: float = 0.0
    noted: Verdict | None = None


class Verdicts:
    """All verdicts of a platform."""

    def __init__(self, notes: VerdictLog, *, clock: Clock) -> None:
        self._log = notes
        self._clock = clock
        self._verdicts: dict[tuple[str, str, str], Verdict] = {}
        self._notes: dict[tuple[str, str, str], _Notes] = {}
        self._confirmed: set[tuple[str, str, str]] = set()
        self._unwritten: dict[tuple[str, str, str], str] = {}

    def load(self, notes: Mapping[str, list[str]]) -> None:
        """Take in the verdicts of the past: every note line, by commit."""
        found: list[tuple[str, Verdict]] = []
        for lines in notes.values():
            found += [parsed for line in lines if (parsed := parse_record(line)) is not None]
        for _, verdict in sorted(found, key=lambda pair: pair[0]):
            key = (verdict.environment, verdict.service, verdict.digest)
            self._verdicts[key] = verdict
            self._notes[key] = _Notes(noted=verdict)

    def find(self, environment: str, service: str, digest: str) -> Verdict | None:
        """The verdict on one release; None if it was never seen running.

        A verdict from before a restart counts as pending until the cluster has confirmed it.
        """
        key = (environment, service, digest)
        verdict = self._verdicts.get(key)
        if verdict is not None and verdict.outcome is Outcome.HEALTHY and key not in self._confirmed:
            return replace(verdict, outcome=Outcome.PENDING, reason="not confirmed since the restart")
        return verdict

    def find_last_known(self, environment: str, service: str, digest: str) -> Verdict | None:
        """The last verdict on record, also of a release that does not run at this moment."""
        return self._verdicts.get((environment, service, digest))

    def of_environment(self, environment: str) -> list[Verdict]:
        """Every release an environment has seen, oldest verdict first."""
        found = [verdict for key, verdict in self._verdicts.items() if key[0] == environment]
        return sorted(found, key=lambda verdict: verdict.since)

    def observe(self, seen: Observation, *, commit: str) -> bool:
        """Take in what is seen; whether the verdict changed. `flush` writes the notes.

        Args:
            seen: the release at this moment.
            commit: gets the note if the artifact's own commit is not known.
        """
        key = (seen.environment, seen.service, seen.digest)
        before = self._verdicts.get(key)
        after = self._judge(before, seen)
        changed = before != after or key not in self._confirmed
        self._confirmed.add(key)
        self._verdicts[key] = after
        if after.outcome is not Outcome.PENDING:
            self._unwritten[key] = commit
        return changed

    async def flush(self) -> None:
        """Write the notes that are due; those that are not stay for a later call."""
        for key, commit in list(self._unwritten.items()):
            if await self._note(key, self._verdicts[key], commit):
                self._unwritten.pop(key, None)

    async def roll_back(self, environment: str, service: str, digest: str, *, reason: str, commit: str) -> None:
        """Record that a release was rolled back by `commit`."""
        key = (environment, service, digest)
        known = self._verdicts.get(key) or Verdict(environment, service, digest, Outcome.PENDING, self._clock.now())
        after = replace(known, outcome=Outcome.ROLLED_BACK, since=self._clock.now(), reason=reason)
        self._verdicts[key] = after
        await self._append(key, after, commit)

    def _judge(self, before: Verdict | None, seen: Observation) -> Verdict:
        now = self._clock.now()
        fresh = Verdict(
            seen.environment, seen.service, seen.digest, Outcome.PENDING, now, seen.message, seen.tag, seen.revision
        )
        if seen.healthy_since is not None:
            since = seen.healthy_since
            if (
                before is not None
                and before.outcome is Outcome.HEALTHY
                and since <= before.since + _CLOCK_GRAIN_SECONDS
            ):
                since = before.since
            return replace(fresh, outcome=Outcome.HEALTHY, since=since, reason="")
        outcome = Outcome.DEGRADED if seen.degraded else Outcome.PENDING
        same = before is not None and before.outcome is outcome
        return replace(fresh, outcome=outcome, since=before.since if before is not None and same else now)

    async def _note(self, key: tuple[str, str, str], verdict: Verdict, commit: str) -> bool:
        notes = self._notes.setdefault(key, _Notes())
        noted = notes.noted
        if noted is not None and (noted.outcome, int(noted.since)) == (verdict.outcome, int(verdict.since)):
            return True
        if verdict.outcome is Outcome.PENDING:
            return True
        pause = _NOTE_PAUSE.delay(max(0, notes.written - _FREE_NOTES + 1))
        if notes.written and self._clock.monotonic() - notes.last_at < pause:
            return False
        return await self._append(key, verdict, commit)

    async def _append(self, key: tuple[str, str, str], verdict: Verdict, commit: str) -> bool:
        notes = self._notes.setdefault(key, _Notes())
        line = format_record(verdict, at=self._clock.now(), commit=commit)
        notes.noted, notes.written, notes.last_at = verdict, notes.written + 1, self._clock.monotonic()
        for target in dict.fromkeys((verdict.revision, commit)):
            try:
                if target:
                    await self._log.append_note(target, line)
                    return True
            except TowpathError as error:
                # The commit that built an artifact may not be in this repository (a squashed branch, another history).
                log.warning("verdict on %s could not be noted on %s: %s", "/".join(key), target, error)
        notes.noted = None  # tried again with the next observation
        return False


def format_record(verdict: Verdict, *, at: float, commit: str) -> str:
    """One line of JSON: the verdict, when it was reached, and the commit the environment stood at."""
    fields: dict[str, Any] = {**asdict(verdict), "outcome": verdict.outcome.value}
    fields["since"] = format_rfc3339(verdict.since)
    record = {"kind": RECORD_KIND, "at": format_rfc3339(at), "commit": commit, **fields}
    return json.dumps({name: value for name, value in record.items() if value}, separators=(",", ":"))


def parse_record(line: str) -> tuple[str, Verdict] | None:
    """The moment and the verdict of a note line; None for lines of another kind, or that are damaged."""
    try:
        record = json.loads(line)
        if record["kind"] != RECORD_KIND:
            return None
        return str(record["at"]), Verdict(
            environment=record["environment"],
            service=record["service"],
            digest=record["digest"],
            outcome=Outcome(record["outcome"]),
            since=parse_rfc3339(record["since"]),
            **{name: str(record.get(name, "")) for name in ("reason", "tag", "revision")},
        )
    except (ValueError, KeyError, TypeError):
        return None
