"""`towpath robot list`: who may use the registry."""

from pathlib import Path

import click

from towpath.cli.output import output_option, print_json, print_table
from towpath.cli.robot.roster import find_roster, roster_options


@click.command("list")
@output_option
@roster_options
def command(output: str, directory: Path, root: Path | None) -> None:
    """Show the robot accounts; never their secrets."""
    robots = find_roster(directory, root).list()["robots"]
    if output == "json":
        print_json({"robots": robots})
        return
    if not robots:
        click.echo("no robots; `towpath robot create NAME --repository 'home/*'` makes one")
        return
    print_table(
        ["NAME", "MAY", "REPOSITORIES", "CREATED", "EXPIRES", "LAST USED"],
        [
            [
                robot["name"],
                ",".join(robot["allow"]),
                ",".join(robot["repositories"]),
                robot["created"],
                f"{robot['expires']} (expired)" if robot["expired"] else robot["expires"] or "never",
                robot["last_used"] or "-",
            ]
            for robot in robots
        ],
    )
