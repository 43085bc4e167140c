"""`towpath hold`: pause automation for an environment, and resume it."""

from pathlib import Path

import click

from towpath.cli.connected import acting_user, connect
from towpath.cli.directory import directory_option


@click.command("hold")
@click.argument("environment")
@click.option("--reason", default="", help="Why; shown by status.")
@click.option(
    "--for", "minutes", type=click.FloatRange(min=0, min_open=True), default=60.0, help="Minutes.", show_default=True
)
@click.option("--release", is_flag=True, help="End the hold.")
@directory_option
def command(environment: str, reason: str, minutes: float, release: bool, directory: Path) -> None:
    """Stop reconciling an environment for a while; it stays as it is, whatever Git says."""
    connection = connect(directory)
    if release:
        changed = connection.post("/holds", {"environment": environment, "release": True})["changed"]
        click.echo(f"{environment} follows Git again" if changed else f"{environment} was not on hold")
        return
    request = {"environment": environment, "reason": reason or "by hand", "seconds": minutes * 60}
    connection.post("/holds", {**request, "by": acting_user()})
    click.echo(f"{environment} is on hold for {minutes:g} min; `towpath hold {environment} --release` ends it")
