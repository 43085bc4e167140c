"""How commands print: a table for people, JSON for programs (`-o json` on every command that shows something).

Tables are written here and not by rich, which takes longer to import than most commands take to run.
"""

import json
import os
import re
import shutil
import textwrap
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from towpath import amounts

F = TypeVar("F", bound=Callable[..., Any])

# Of a page when there is no terminal that says.
WIDTH = 110
# Blanks between two columns of a table.
GAP = 3
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")

STYLES = {
    "Healthy": "green",
    "Synced": "green",
    "passed": "green",
    "ok": "green",
    "Progressing": "yellow",
    "OutOfSync": "yellow",
    "insufficient evidence": "yellow",
    "warning": "yellow",
    "Missing": "yellow",
    "waiting": "yellow",
    "Degraded": "red",
    "failed": "red",
    "problem": "red",
}


def output_option(function: F) -> F:
    """The option `-o/--output`, given to the command as `output`."""
    option = click.option(
        "-o", "--output", type=click.Choice(["table", "json"]), default="table", help="How to print.", show_default=True
    )
    return option(function)


def print_json(document: Any) -> None:
    """Print a document for programs."""
    click.echo(json.dumps(document, indent=2))


def print_table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows for people: kubectl's look, coloured on a terminal, never cut or wrapped."""
    table = [[_lines(value) for value in row] for row in (headers, *rows)]
    widths = [max(_width(line) for cell in column for line in cell) for column in zip(*table, strict=True)]
    printed = []
    for number, row in enumerate(table):
        for level in range(max(map(len, row))):
            texts = [cell[level] if level < len(cell) else "" for cell in row]
            printed.append(_format_line(texts, widths, bold=number == 0))
    click.echo("\n".join(printed), color=_wants_colour())


def _format_line(texts: Sequence[str], widths: Sequence[int], *, bold: bool) -> str:
    """One printed line; a trailing run of blanks is noise in a pipe."""
    last = max((place for place, text in enumerate(texts) if text), default=0)
    cells = []
    for place, (text, width) in enumerate(zip(texts[: last + 1], widths, strict=False)):
        colour = STYLES.get(text)
        shown = click.style(text, fg=colour, bold=bold or None) if bold or colour else text
        cells.append(shown if place == last else shown + " " * (width - _width(text) + GAP))
    return "".join(cells)


def _lines(value: object) -> list[str]:
    """A cell; control characters in what others wrote must not reach the terminal."""
    text = "-" if value is None or value == "" else str(value)
    return _CONTROL.sub("", text.expandtabs()).split("\n")


def _width(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )


def _wants_colour() -> bool | None:
    """What the environment says of colours (no-color.org); None leaves it to whether there is a terminal."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return True if os.environ.get("FORCE_COLOR") else None


def wrapped(text: str, *, indent: int) -> str:
    """A text folded to the terminal's width, each line indented; long words such as digests stay whole."""
    width = max(shutil.get_terminal_size((WIDTH, 24)).columns, indent + 40)
    folder = textwrap.TextWrapper(width - indent, break_long_words=False, break_on_hyphens=False)
    lines = [folded for line in text.splitlines() for folded in folder.wrap(line)]
    return "\n".join(" " * indent + line for line in lines)


def format_age(seconds: float | None) -> str:
    """An age as kubectl writes it: `45s`, `12m`, `3h`, `2d`; `-` for none."""
    return "-" if seconds is None else amounts.format_age(seconds)
