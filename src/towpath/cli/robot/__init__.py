"""`towpath robot`: accounts for machines that use the registry, one file a command.

`roster` finds the robots: at the platform that runs in the directory, or in its files when none does.
"""

import click

from towpath.cli.table import CommandTable

COMMANDS: dict[str, str] = {
    "create": "Make a robot account; prints its secret once.",
    "list": "Show the robot accounts.",
    "rotate": "Give a robot a new secret; prints it once.",
    "revoke": "End a robot account at once.",
}


@click.group("robot", cls=CommandTable, package=__name__, table=COMMANDS)
def command() -> None:
    """Accounts for machines that use the registry: CI systems, other clusters, scripts."""
