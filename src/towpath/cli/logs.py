"""`towpath logs`: the output of a service."""

import sys
from pathlib import Path

import click

from towpath.cli.connected import connect
from towpath.cli.directory import directory_option


@click.command("logs")
@click.argument("service")
@click.option("-e", "--environment", help="The environment.  [default: the first]")
@click.option("--pod", help="Only this pod.")
@click.option("-f", "--follow", is_flag=True, help="Go on as new lines come.")
@click.option("-p", "--previous", is_flag=True, help="The run before the last restart.")
@click.option(
    "-n", "--tail", type=click.IntRange(0, 1_000_000), default=100, help="How many lines a pod.", show_default=True
)
@directory_option
def command(
    service: str, environment: str | None, pod: str | None, follow: bool, previous: bool, tail: int, directory: Path
) -> None:
    """Print the output of a service's pods; with several pods each line starts with the pod's name."""
    chunks = connect(directory).stream(
        "/logs", service=service, environment=environment, pod=pod, follow=follow, previous=previous, tail=str(tail)
    )
    for chunk in chunks:
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
