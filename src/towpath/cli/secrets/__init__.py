"""`towpath secrets`: the pull secrets of environments, one file a command."""

import click

from towpath.cli.table import CommandTable

COMMANDS: dict[str, str] = {
    "list": "Show the pull secrets: age, what they open, when they were last used.",
    "rotate": "Replace pull secrets without a failed pull.",
}


@click.group("secrets", cls=CommandTable, package=__name__, table=COMMANDS)
def command() -> None:
    """The secrets that namespaces pull images with: made, distributed and replaced by the platform."""
