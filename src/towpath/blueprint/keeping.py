"""`keeper` in the blueprint: what the registry keeps, how much it may hold, and what runs by itself. Pure."""

import re

from towpath.blueprint import fields
from towpath.blueprint.document import Entries
from towpath.blueprint.durations import parse_duration
from towpath.blueprint.model import Keeping

KEYS = ("collect", "history", "releases", "sets", "grace", "outside_tags", "scrub", "quota")
NEVER = "never"
DAILY = "daily"

_SIZE = re.compile(r"(\d{1,12})(?:\.(\d{1,3}))? ?(B|[KMGT]i?B?)", re.IGNORECASE)
_POWERS = {"B": 0, "K": 1, "M": 2, "G": 3, "T": 4}
# A manifest's own grace must outlast a push.
SHORTEST_GRACE_SECONDS = 60.0
DEFAULT = Keeping()


def read_keeping(entry: Entries) -> Keeping:
    """The settings of the keeper; problems are reported."""
    entry.refuse_unknown(KEYS)
    collect = entry.text("collect", NEVER)
    if collect not in {NEVER, DAILY}:
        entry.report("collect", f"got {collect}, expected {DAILY} or {NEVER}")
    grace = fields.duration(entry, "grace", DEFAULT.grace_seconds)
    if grace < SHORTEST_GRACE_SECONDS:
        entry.report("grace", "a push must end within it: at least 1m")
    return Keeping(
        collects_daily=collect == DAILY,
        history_seconds=fields.duration(entry, "history", DEFAULT.history_seconds),
        releases=entry.integer("releases", DEFAULT.releases, lowest=1, highest=1000),
        sets=entry.integer("sets", DEFAULT.sets, lowest=1, highest=10_000),
        grace_seconds=grace,
        outside_tags=_outside_tags(entry),
        scrub_seconds=_scrub(entry),
        quota=_quota(entry),
    )


def parse_size(text: str) -> int:
    """Bytes from `20GiB`, `512M` or `1.5 TiB`; units are of 1024.

    Raises:
        ValueError: the text is not a size with a unit.
    """
    matched = _SIZE.fullmatch(text)
    if not matched:
        raise ValueError('a size with a unit, such as "20GiB"')
    whole, fraction, unit = matched.groups()
    return int(float(f"{whole}.{fraction or 0}") * 1024 ** _POWERS[unit[0].upper()])


def _outside_tags(entry: Entries) -> int | None:
    expected = "all, or a whole number from 1 to 100000"
    value = entry.scalar("outside_tags", {"str", "int"}, expected)
    if value is None or value == "all":
        return None
    if not value.isdigit() or not 1 <= int(value) <= 100_000:
        entry.report("outside_tags", f"got {value}, expected {expected}")
        return None
    return int(value)


def _scrub(entry: Entries) -> float | None:
    value = entry.scalar("scrub", {"str"}, "a duration such as 7d, or never")
    if value is None:
        return DEFAULT.scrub_seconds
    if value == NEVER:
        return None
    try:
        seconds = parse_duration(value)
    except ValueError:
        seconds = 0.0
    if seconds < 3600:
        entry.report("scrub", f"got {value}, expected {NEVER}, or a duration such as 7d, at least 1h")
        return DEFAULT.scrub_seconds
    return seconds


def _quota(entry: Entries) -> dict[str, int]:
    inner = entry.mapping("quota")
    quota = {}
    for name, text in entry.pairs("quota").items():
        try:
            quota[name] = parse_size(text)
        except ValueError as error:
            inner.report(name, f"got {text}, expected {error}")
    return quota
