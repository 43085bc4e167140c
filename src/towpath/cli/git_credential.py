"""`towpath git-credential`: answers git when it pushes to the platform. Set up by `towpath init`."""

import sys
from pathlib import Path

import click

from towpath.cli.directory import directory_option
from towpath.cli.gitquestion import Question


@click.command("git-credential", hidden=True)
@click.argument("operation")
@directory_option
def command(operation: str, directory: Path) -> None:
    """Speak git's credential protocol: `get` answers with the platform's token, the rest is ignored."""
    click.echo(Question(operation, directory).answer(sys.stdin.read()), nl=False)
