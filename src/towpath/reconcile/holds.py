"""Holds: automation paused for one application, with a reason and an expiry.

A hold lasts longer than this process, so it is a line in a Git note; the latest line of an environment counts.
"""

import json
from collections.abc import Mapping
from typing import Any

from towpath.aio.clock import Clock, format_rfc3339, parse_rfc3339
from towpath.reconcile.status import Hold
from towpath.reconcile.verdicts import VerdictLog

RECORD_KIND = "hold"


class Holds:
    """The holds of a platform."""

    def __init__(self, notes: VerdictLog, *, clock: Clock) -> None:
        self._log = notes
        self._clock = clock
        self._holds: dict[str, Hold] = {}

    def load(self, notes: Mapping[str, list[str]]) -> None:
        """Take in the holds of the past: every note line, by commit."""
        found = [parsed for lines in notes.values() for line in lines if (parsed := _parse(line)) is not None]
        for _, environment, hold in sorted(found, key=lambda record: record[0]):
            self._set(environment, hold)

    def find(self, environment: str) -> Hold | None:
        """The hold in force, or None."""
        hold = self._holds.get(environment)
        expired = hold is not None and hold.until is not None and hold.until <= self._clock.now()
        return None if expired else hold

    async def hold(self, environment: str, hold: Hold, *, commit: str) -> None:
        """Pause; noted on `commit`."""
        await self._log.append_note(commit, self._format(environment, hold))
        self._set(environment, hold)

    async def resume(self, environment: str, *, commit: str) -> bool:
        """Go on; False if there was no hold."""
        if environment not in self._holds:
            return False
        await self._log.append_note(commit, self._format(environment, None))
        self._set(environment, None)
        return True

    def _set(self, environment: str, hold: Hold | None) -> None:
        if hold is None:
            self._holds.pop(environment, None)
        else:
            self._holds[environment] = hold

    def _format(self, environment: str, hold: Hold | None) -> str:
        # Fractions keep a hold and a resume of the same second in order.
        record: dict[str, Any] = {"kind": RECORD_KIND, "at": self._clock.now(), "environment": environment}
        if hold is not None:
            until = format_rfc3339(hold.until) if hold.until is not None else ""
            record |= {"reason": hold.reason, "by": hold.by, "since": format_rfc3339(hold.since), "until": until}
        return json.dumps(record, separators=(",", ":"))


def _parse(line: str) -> tuple[float, str, Hold | None] | None:
    try:
        record = json.loads(line)
        if record["kind"] != RECORD_KIND:
            return None
        at, environment = float(record["at"]), str(record["environment"])
        if "reason" not in record:
            return at, environment, None
        until = parse_rfc3339(record["until"]) if record.get("until") else None
        since = parse_rfc3339(record["since"])
        return at, environment, Hold(str(record["reason"]), since, str(record.get("by", "")), until)
    except (ValueError, KeyError, TypeError):
        return None
