"""`towpath reconcile`: compare an environment with Git at once, instead of at the next event."""

from pathlib import Path

import click

from towpath.cli.connected import connect
from towpath.cli.directory import directory_option


@click.command("reconcile")
@click.argument("environment")
@click.option("--confirm-prune", is_flag=True, help="Let it delete what Git dropped, beyond the guards, once.")
@directory_option
def command(environment: str, confirm_prune: bool, directory: Path) -> None:
    """Ask for a reconciliation of an environment; needed only to confirm a deletion that the guards held back."""
    connect(directory).post("/reconciliations", {"environment": environment, "confirm_prune": confirm_prune})
    click.echo(f"{environment} is compared with Git; `towpath status {environment}` shows how it stands")
