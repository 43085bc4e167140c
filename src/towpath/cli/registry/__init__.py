"""`towpath registry`: the registry of the platform, one file a command.

Most ask the platform that runs in the directory (`server.keeper`); `serve` is a registry without one, and
`notifications` looks into the registry's own files.
"""

import click

from towpath.cli.table import CommandTable

# In the order of how often they are typed.
COMMANDS = {
    "usage": "What each repository holds.",
    "collect": "Find what nothing needs, and remove it.",
    "serve": "Run a registry on its own.",
    "notifications": "Who is told of pushes; tell again.",
    "scrub": "Read everything again, and find bit rot.",
}


@click.group("registry", cls=CommandTable, package=__name__, table=COMMANDS)
def command() -> None:
    """Look after the platform's registry."""
