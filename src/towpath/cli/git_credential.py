"""`towpath git-credential`: answers git when it pushes to the platform. Set up by `towpath init`."""

import sys
from pathlib import Path

import click

from towpath.cli.directory import directory_option
from towpath.config import STATE_DIRECTORY, find_root
from towpath.errors import UserError
from towpath.server import credentials
from towpath.server.runfile import read_run_info
from towpath.source.credentials import GitCredential, answer


@click.command("git-credential", hidden=True)
@click.argument("operation")
@directory_option
def command(operation: str, directory: Path) -> None:
    """Speak git's credential protocol: `get` answers with the platform's token, the rest is ignored."""
    click.echo(answer(operation, sys.stdin.read(), _find_credential(directory)), nl=False)


def _find_credential(directory: Path) -> GitCredential | None:
    """The running platform's; None lets git ask the next helper."""
    try:
        state = find_root(directory.resolve()) / STATE_DIRECTORY
        return GitCredential(read_run_info(state).url, credentials.ADMIN, credentials.read(state).admin_token)
    except UserError:
        return None
