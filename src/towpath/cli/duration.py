"""Durations as people type them: `90d`, `12h`, `30m`, `45s`, or several together: `1d12h`."""

import re
from typing import Any

import click

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_PART = re.compile(r"(\d{1,9})([dhms])")


class Duration(click.ParamType[float]):
    """An option's value in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it; what is a number already stays."""
        if isinstance(value, int | float):
            return float(value)
        parts = _PART.findall(value)
        if not parts or "".join(number + unit for number, unit in parts) != value:
            self.fail(f"{value!r} is no duration: expected for example 90d, 12h or 30m", param, ctx)
        return float(sum(int(number) * _UNITS[unit] for number, unit in parts))
