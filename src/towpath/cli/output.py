"""How commands print: a table for people, JSON for programs (`-o json` on every command that shows something)."""

import json
import shutil
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from towpath.aio import amounts

F = TypeVar("F", bound=Callable[..., Any])

# Of a page when there is no terminal that says.
WIDTH = 110

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
    """Print rows for people: kubectl's look, coloured on a terminal, never cut or wrapped when piped."""
    console = Console(highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
    for header in headers:
        table.add_column(header, no_wrap=True, overflow="ignore")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    if not console.is_terminal:
        console.width = 10_000
    # rich pads every row to the column's width; a trailing run of blanks is noise in a pipe.
    with console.capture() as capture:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in capture.get().splitlines()))


def wrapped(text: str, *, indent: int) -> str:
    """A text folded to the terminal's width, each line indented; long words such as digests stay whole."""
    width = max(shutil.get_terminal_size((WIDTH, 24)).columns, indent + 40)
    folder = textwrap.TextWrapper(width - indent, break_long_words=False, break_on_hyphens=False)
    lines = [folded for line in text.splitlines() for folded in folder.wrap(line)]
    return "\n".join(" " * indent + line for line in lines)


def format_age(seconds: float | None) -> str:
    """An age as kubectl writes it: `45s`, `12m`, `3h`, `2d`; `-` for none."""
    return "-" if seconds is None else amounts.format_age(seconds)


def _cell(value: object) -> Text:
    text = "-" if value is None or value == "" else str(value)
    return Text(text, style=STYLES.get(text, ""))
