"""How commands print: a table for people, JSON for programs (`-o json` on every command that shows something)."""

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

F = TypeVar("F", bound=Callable[..., Any])

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


def format_age(seconds: float | None) -> str:
    """An age as kubectl writes it: `45s`, `12m`, `3h`, `2d`; `-` for none."""
    if seconds is None:
        return "-"
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(max(seconds, 0))}s"


def _cell(value: object) -> Text:
    text = "-" if value is None or value == "" else str(value)
    return Text(text, style=STYLES.get(text, ""))
