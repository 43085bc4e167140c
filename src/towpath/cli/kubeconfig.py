"""`towpath kubeconfig`: the file that kubectl needs."""

from pathlib import Path

import click

from towpath.cli.directory import directory_option
from towpath.config import STATE_DIRECTORY, find_root
from towpath.errors import UserError
from towpath.kubeclient.target import load_target
from towpath.server.clusterfile import find_cluster


@click.command("kubeconfig")
@click.option("--path", "print_path", is_flag=True, help="Print where the file is, not what it holds.")
@directory_option
def command(print_path: bool, directory: Path) -> None:
    """Print the kubeconfig of the cluster the platform runs on: the embedded one's, or the file you named to `up`.

    export KUBECONFIG=$(towpath kubeconfig --path)
    """
    state = find_root(directory.resolve()) / STATE_DIRECTORY
    outside = find_cluster(state)
    path = state / "kubeconfig" if outside is None or outside.kubeconfig is None else outside.kubeconfig
    if not path.is_file():
        hint = "start the platform first: towpath up" if outside is None else "name another: towpath up --kubeconfig"
        raise UserError(f"{path} cannot be read (NotFound)", hint=hint)
    if outside is not None and load_target(path, environ={}).name != outside.context:
        click.echo(f"the platform uses the context {outside.context}: kubectl --context {outside.context}", err=True)
    click.echo(path if print_path else path.read_text(), nl=print_path)
