"""`towpath up`: run the platform until it is told to stop."""

import re
from pathlib import Path
from typing import Any

import click

from towpath.cli.connected import directory_option
from towpath.cli.worktree import declared_branch, declared_port
from towpath.config import DEFAULT_HOST, DEFAULT_KUBE_PORT, OutsideCluster, Settings, find_root
from towpath.errors import UserError
from towpath.server.lifecycle import Running, run_platform

PORTS = click.IntRange(0, 65535)
# As image references begin: without a dot, a port or this name, the first part is no host.
ADVERTISED = re.compile(
    r"(localhost|[A-Za-z0-9.-]+\.[A-Za-z0-9-]+)(:\d{1,5})?|([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):\d{1,5}"
)


def advertised_address(_context: click.Context, _option: click.Parameter, value: str) -> str:
    """The value of --advertise. Raises BadParameter where it is no `host[:port]`."""
    if value and not ADVERTISED.fullmatch(value):
        raise click.BadParameter(f"{value!r} is no HOST[:PORT], such as 192.168.1.10:7070 or towpath.lan")
    return value


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
@click.option(
    "--kubeconfig",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="Run on the cluster of this file instead of the embedded one; remembered, with its context.",
)
@click.option("--context", default="", help="Which context of --kubeconfig.  [default: its current one]")
@click.option("--embedded", is_flag=True, help="Go back to the embedded cluster.")
@click.option(
    "--advertise",
    default="",
    callback=advertised_address,
    metavar="HOST[:PORT]",
    help="Where nodes and clients reach this platform.  [default: where it listens]",
)
@click.option("--plain-http", is_flag=True, help="Speak to --advertise without TLS.")
@click.option("-v", "--verbose", is_flag=True, help="Log what every part does.")
@directory_option
def command(
    port: int | None, kubeconfig: Path | None, context: str, verbose: bool, directory: Path, **options: Any
) -> None:
    """Run the platform: Git server, registry, builder, cluster and reconciler, in this one process.

    Ctrl-C stops it and its pods; what was pushed, built and promoted stays.
    """
    root = _root(directory.resolve(), remote=options["remote"])
    if context and kubeconfig is None:
        raise UserError("--context names a part of a kubeconfig (Usage)", hint="say which: --kubeconfig FILE")
    settings = Settings(
        **{**options, "isolation": options["isolation"] or "", "branch": options["branch"] or declared_branch(root)},
        root=root,
        port=declared_port(root) if port is None else port,
        outside=OutsideCluster(kubeconfig, context) if kubeconfig else None,
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
    click.echo(f"{running.name} is up at {running.url} after {running.start_seconds:.2f} s ({running.runtime})")
    if running.remote:
        click.echo(f"  follows   {running.remote}, branch {running.branch}")
        click.echo("  webhooks  towpath webhook github")
    else:
        click.echo(f"  push      git push towpath {running.branch}")
    click.echo("  look      towpath status")
    click.echo("  kubectl   export KUBECONFIG=$(towpath kubeconfig --path)")
    click.echo("  stop      Ctrl-C")
    for warning in running.warnings:
        click.secho(f"  warning   {warning}", fg="yellow", err=True)
