"""Medians, percentiles and Markdown tables: pure."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

median = statistics.median


def percentile(samples: Sequence[float], share: float) -> float:
    """The smallest sample that at least this share (0 to 1) of all samples does not exceed (nearest rank)."""
    if not samples or not 0 < share <= 1:
        raise ValueError("a percentile needs samples, and a share above 0, at most 1")
    return sorted(samples)[math.ceil(share * len(samples)) - 1]


@dataclass(frozen=True)
class Table:
    """A table: the names of its columns, and its rows as they are shown."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def format(self) -> str:
        """As Markdown; the first column is text, the others are numbers."""
        rule = ["---", *("--:" for _ in self.columns[1:])]
        return "\n".join(f"| {' | '.join(row)} |" for row in (self.columns, rule, *self.rows))


def format_seconds(seconds: float) -> str:
    """Seconds as a table shows them: `1.25 s`, `84 ms`, `2.1 ms`."""
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"


def format_mebibytes(count: float) -> str:
    """Bytes as a table shows them: `96.4 MiB`."""
    return f"{count / 2**20:.1f} MiB"
