"""`towpath events`: what happened."""

from datetime import UTC, datetime
from pathlib import Path

import click

from towpath.cli.connected import connect, directory_option
from towpath.cli.output import output_option, print_json, print_table


@click.command("events")
@click.argument("environment", required=False)
@click.option("-n", "--limit", type=click.IntRange(1, 1000), default=40, help="How many events.", show_default=True)
@directory_option
@output_option
def command(environment: str | None, limit: int, directory: Path, output: str) -> None:
    """Show what the platform and the cluster did, oldest first."""
    document = connect(directory).get("/events", environment=environment, limit=limit)
    if output == "json":
        print_json(document)
        return
    rows = [
        [
            datetime.fromtimestamp(event["at"], UTC).strftime("%H:%M:%SZ"),
            event["environment"],
            event["type"],
            event["reason"],
            event["object"],
            event["message"] + (f" (x{event['count']})" if event["count"] > 1 else ""),
        ]
        for event in document["events"]
    ]
    print_table(["TIME", "ENVIRONMENT", "TYPE", "REASON", "OBJECT", "MESSAGE"], rows)
