"""`towpath up`: run the platform until it is told to stop."""

from pathlib import Path
from typing import Any

import click

from towpath.cli.connected import directory_option
from towpath.cli.worktree import declared_branch, declared_port
from towpath.config import DEFAULT_HOST, DEFAULT_KUBE_PORT, Settings, find_root
from towpath.errors import UserError
from towpath.server.lifecycle import Running, run_platform

PORTS = click.IntRange(0, 65535)


@click.command("up")
@click.option("--host", default=DEFAULT_HOST, help="Where to listen.", show_default=True)
@click.option("--port", type=PORTS, help="Git, registry, API.  [default: that of registry in towpath.yaml, or 7070]")
@click.option("--kube-port", type=PORTS, default=DEFAULT_KUBE_PORT, help="Kubernetes API.", show_default=True)
@click.option("--branch", help="What is built and reconciled.  [default: branch in towpath.yaml, or main]")
@click.option("--remote", default="", help="Follow this Git repository instead of hosting one; remembered.")
@click.option("--remote-user", default="git", help="The user name for --remote over HTTP.", show_default=True)
@click.option(
    "--remote-token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file that holds the access token for --remote.",
)
@click.option(
    "--poll",
    "poll_seconds",
    type=click.FloatRange(min=1),
    default=60.0,
    help="Seconds between looks at --remote.",
    show_default=True,
)
@click.option(
    "--isolation",
    metavar="MODE",
    type=click.Choice(["sandbox+hostnetwork", "process"]),
    help="Keep pods apart by less than the machine offers: sandbox+hostnetwork; process: not at all.",
)
@click.option("-v", "--verbose", is_flag=True, help="Log what every part does.")
@directory_option
def command(
    port: int | None, branch: str | None, isolation: str | None, verbose: bool, directory: Path, **options: Any
) -> None:
    """Run the platform: Git server, registry, builder, cluster and reconciler, in this one process.

    Ctrl-C stops it and its pods; what was pushed, built and promoted stays.
    """
    root = _root(directory.resolve(), remote=options["remote"])
    settings = Settings(
        root=root,
        port=declared_port(root) if port is None else port,
        branch=branch or declared_branch(root),
        isolation=isolation or "",
        **options,
    )
    run_platform(settings, on_ready=_greet, verbose=verbose)


def _root(directory: Path, *, remote: str) -> Path:
    try:
        return find_root(directory)
    except UserError:
        if remote:
            return directory  # what is followed need not be checked out anywhere
        raise


def _greet(running: Running) -> None:
    click.echo(f"{running.name} is up at {running.url} after {running.start_seconds:.2f} s ({running.isolation})")
    if running.remote:
        click.echo(f"  follows   {running.remote}, branch {running.branch}")
        click.echo("  webhooks  towpath webhook github")
    else:
        click.echo(f"  push      git push towpath {running.branch}")
    click.echo("  look      towpath status")
    click.echo("  kubectl   export KUBECONFIG=$(towpath kubeconfig --path)")
    click.echo("  stop      Ctrl-C")
