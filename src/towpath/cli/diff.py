"""`towpath diff`: what differs between Git and the runtime."""

from pathlib import Path
from typing import Any

import click

from towpath.cli.connected import connect
from towpath.cli.directory import directory_option
from towpath.cli.output import output_option, print_json

DIFFERENT = 3


@click.command("diff")
@click.argument("environment")
@click.option("--exit-code", is_flag=True, help="Exit 3 when there are differences.")
@directory_option
@output_option
def command(environment: str, exit_code: bool, directory: Path, output: str) -> int:
    """Show, field by field, how the runtime differs from what Git says; secrets are masked."""
    document = connect(directory).get("/diff", environment=environment)
    if output == "json":
        print_json(document)
    elif document["objects"]:
        print_objects(document["objects"])
    else:
        click.echo(f"{environment} matches Git")
    return DIFFERENT if exit_code and document["objects"] else 0


def print_objects(objects: list[dict[str, Any]]) -> None:
    """Print changed objects with their fields, before and after."""
    for obj in objects:
        click.secho(f"{obj['action']} {obj['object']}", bold=True)
        for change in obj["changes"]:
            click.echo(f"    {change['path']}")
            if change["before"] is not None:
                click.secho(f"      - {change['before']}", fg="red")
            if change["after"] is not None:
                click.secho(f"      + {change['after']}", fg="green")
