"""`towpath events`: what happened."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from towpath.cli.connected import connect
from towpath.cli.connection import Connection
from towpath.cli.directory import directory_option
from towpath.cli.output import output_option, print_json, print_table
from towpath.errors import UserError

POLL_SECONDS = 1.0
# While following: more than a small cluster does between two looks.
FOLLOWED = 500
HEADERS = ["TIME", "ENVIRONMENT", "TYPE", "REASON", "OBJECT", "MESSAGE"]


@click.command("events")
@click.argument("environment", required=False)
@click.option("-n", "--limit", type=click.IntRange(1, 1000), default=40, help="How many events.", show_default=True)
@click.option("-f", "--follow", is_flag=True, help="Go on as new ones come.")
@directory_option
@output_option
def command(environment: str | None, limit: int, follow: bool, directory: Path, output: str) -> None:
    """Show what the platform and the cluster did, oldest first."""
    connection = connect(directory)
    document = connection.get("/events", environment=environment, limit=limit)
    if follow and output == "json":
        raise UserError("events cannot be followed as JSON (Unsupported)", hint="leave out -f or -o json")
    if output == "json":
        print_json(document)
        return
    print_table(HEADERS, [_row(event) for event in document["events"]])
    if follow:
        for event in _news(connection, environment, document["events"]):
            click.echo("   ".join(str(cell) for cell in _row(event) if cell))


def _news(connection: Connection, environment: str | None, known: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    seen = {_identity(event) for event in known}
    while True:
        time.sleep(POLL_SECONDS)
        events = connection.get("/events", environment=environment, limit=FOLLOWED)["events"]
        oldest = known[0]["at"] if known else 0.0
        yield from (event for event in events if event["at"] >= oldest and _identity(event) not in seen)
        # What the answer no longer holds cannot come again.
        seen = {_identity(event) for event in events}
        known = events


def _identity(event: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(event[name] for name in ("at", "environment", "reason", "object", "message", "count"))


def _row(event: dict[str, Any]) -> list[object]:
    return [
        datetime.fromtimestamp(event["at"], UTC).strftime("%H:%M:%SZ"),
        event["environment"],
        event["type"],
        event["reason"],
        event["object"],
        event["message"] + (f" (x{event['count']})" if event["count"] > 1 else ""),
    ]
