"""Durations as people type them: `90d`, `12h`, `30m`, `45s`, or several together: `1d12h`."""

import re
from typing import Any

import click

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_PART = re.compile(r"(\d{1,9})([dhms])")
# A hundred years: the platform's API takes no more, and what ends later than dates go cannot be shown.
LONGEST_DAYS = 36_500


class Duration(click.ParamType[float]):
    """An option's value in seconds."""

    name = "duration"

    def __init__(self, *, above_zero: bool = False) -> None:
        """`above_zero` refuses 0s: where leaving the option out means for ever, nothing must not read as that."""
        self._above_zero = above_zero

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it; what is a number already stays."""
        if isinstance(value, int | float):
            return float(value)
        parts = _PART.findall(value)
        if not parts or "".join(number + unit for number, unit in parts) != value:
            self.fail(f"{value!r} is no duration: expected for example 90d, 12h or 30m", param, ctx)
        seconds = sum(int(number) * _UNITS[unit] for number, unit in parts)
        if seconds > LONGEST_DAYS * _UNITS["d"]:
            self.fail(f"{value!r} is too long: expected at most {LONGEST_DAYS}d", param, ctx)
        if self._above_zero and not seconds:
            self.fail(f"{value!r} would end at once: expected more than 0s, for example 90d or 12h", param, ctx)
        return float(seconds)
