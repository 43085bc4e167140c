"""`towpath webhook`: what to enter in a forge's webhook settings."""

from pathlib import Path

import click

from towpath.cli.directory import directory_option
from towpath.cli.output import output_option, print_json
from towpath.config import STATE_DIRECTORY, find_root
from towpath.errors import UserError
from towpath.server import credentials
from towpath.server.runfile import read_run_info
from towpath.source.signatures import FORGES

CONTENT_TYPE = "application/json"


@click.command("webhook")
@click.argument("forge", type=click.Choice(FORGES))
@directory_option
@output_option
def command(forge: str, directory: Path, output: str) -> None:
    """Print the URL and the secret for the webhook settings of FORGE, for a platform that follows a repository there.

    The URL is this machine's own: behind a proxy or a tunnel, put its name before the path.
    """
    state = find_root(directory.resolve()) / STATE_DIRECTORY
    document = {
        "url": f"{_url(state)}/webhooks/{forge}",
        "secret": credentials.read(state).webhook_secret_of(forge),
        "content_type": CONTENT_TYPE,
        "events": "push",
    }
    if output == "json":
        print_json(document)
        return
    for name, value in document.items():
        click.echo(f"{name.replace('_', ' ') + ':':<14}{value}")


def _url(state: Path) -> str:
    try:
        return read_run_info(state).url
    except UserError:
        return "http://HOST:PORT"  # it need not run to be told the secret
