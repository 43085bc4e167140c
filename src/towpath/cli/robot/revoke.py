"""`towpath robot revoke`: end a robot account."""

from pathlib import Path

import click

from towpath.cli.robot.roster import find_roster, roster_options


@click.command("revoke")
@click.argument("name")
@roster_options
def command(name: str, directory: Path, root: Path | None) -> None:
    """End a robot account: its secret and its tokens are refused from the next request on."""
    revoked = find_roster(directory, root).revoke(name)
    click.echo(f"robot {revoked['name']} is revoked: its secret and its tokens open nothing from the next request on")
