"""`towpath explain`: why something is not synced or not healthy."""

from pathlib import Path

import click

from towpath.cli.connected import connect
from towpath.cli.directory import directory_option
from towpath.cli.output import STYLES, output_option, print_json, wrapped


@click.command("explain")
@click.argument("environment", required=False)
@click.argument("service", required=False)
@directory_option
@output_option
def command(environment: str | None, service: str | None, directory: Path, output: str) -> None:
    """Say why an environment, or one service of it, is as it is: cause, evidence, next step."""
    document = connect(directory).get("/explain", environment=environment, service=service)
    if output == "json":
        print_json(document)
        return
    for finding in document["findings"]:
        click.echo(f"{finding['subject']}: " + click.style(finding["state"], fg=STYLES.get(finding["state"])))
        for label in ("reason", "evidence", "next"):
            if finding[label]:
                click.echo(f"  {label + ':':<10}{wrapped(finding[label], indent=12).lstrip()}")
