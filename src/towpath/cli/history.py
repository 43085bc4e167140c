"""`towpath history`: the ledger, and the waterfall of each push."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from towpath.cli.connected import connect
from towpath.cli.directory import directory_option
from towpath.cli.output import output_option, print_json, print_table

BAR_WIDTH = 40


@click.command("history")
@click.argument("environment", required=False)
@click.option("--service", help="Only this service.")
@click.option("--timeline", is_flag=True, help="Show how long each stage of each push took.")
@click.option("-n", "--limit", type=click.IntRange(1, 500), default=20, help="How many entries.", show_default=True)
@directory_option
@output_option
def command(
    environment: str | None, service: str | None, timeline: bool, limit: int, directory: Path, output: str
) -> None:
    """Show releases, promotions and rollbacks, newest first; all of it is read from Git."""
    connection = connect(directory)
    if timeline:
        document = connection.get("/timeline", environment=environment, limit=limit)
        printer = _print_timeline
    else:
        document = connection.get("/history", environment=environment, service=service, limit=limit)
        printer = _print_entries
    if output == "json":
        print_json(document)
    else:
        printer(document)


def _print_entries(document: dict[str, Any]) -> None:
    rows = []
    for entry in document["entries"]:
        at = datetime.fromtimestamp(entry["at"], UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        for move in entry["moves"]:
            moved = f"{move['previous'] or '-'} -> {move['tag']}"
            rows.append(
                [at, entry["environment"], entry["act"], move["service"], moved, entry["verdict"], entry["commit"][:7]]
            )
    print_table(["TIME", "ENVIRONMENT", "ACT", "SERVICE", "VERSION", "VERDICT", "COMMIT"], rows)


def _print_timeline(document: dict[str, Any]) -> None:
    for waterfall in document["waterfalls"]:
        state = "ready" if waterfall["ready"] else "not ready"
        click.echo(
            f"{waterfall['commit'][:7]} -> {waterfall['environment']}  {state} after {waterfall['total_seconds']:.2f} s"
            f"  {waterfall['subject']}"
        )
        click.echo("\n".join(waterfall_lines(waterfall)))
        click.echo()


def waterfall_lines(waterfall: dict[str, Any]) -> list[str]:
    """One line a stage: its name, its duration, and a bar at its place in time."""
    total = waterfall["total_seconds"] or 1.0
    lines = []
    for span in waterfall["spans"]:
        start = round(span["start"] / total * BAR_WIDTH)
        end = max(round(span["end"] / total * BAR_WIDTH), start + 1)
        bar = " " * start + "█" * (end - start)
        lines.append(f"  {span['stage']:<9}{(span['end'] - span['start']) * 1000:7.0f} ms  {bar}")
    return lines
