"""`towpath keys`: the keys that sign attestations, one file a command. What a key is for: `docs/attestations.md`."""

import click

from towpath.cli.table import CommandTable

COMMANDS = {
    "create": "Make the key pair that signs images.",
    "list": "List the keys that are trusted.",
}


@click.group("keys", cls=CommandTable, package=__name__, table=COMMANDS)
def command() -> None:
    """Make and list the keys that sign where images come from."""
