"""`towpath kubeconfig`: the file that kubectl needs."""

from pathlib import Path

import click

from towpath.cli.connected import directory_option
from towpath.config import STATE_DIRECTORY, find_root
from towpath.errors import UserError


@click.command("kubeconfig")
@click.option("--path", "print_path", is_flag=True, help="Print where the file is, not what it holds.")
@directory_option
def command(print_path: bool, directory: Path) -> None:
    """Print the kubeconfig of the embedded cluster.

    export KUBECONFIG=$(towpath kubeconfig --path)
    """
    path = find_root(directory.resolve()) / STATE_DIRECTORY / "kubeconfig"
    if not path.is_file():
        raise UserError(f"{path} cannot be read (NotFound)", hint="start the platform first: towpath up")
    click.echo(path if print_path else path.read_text(), nl=print_path)
