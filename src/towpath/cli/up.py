"""`towpath up`: run the platform until it is told to stop."""

from pathlib import Path
from typing import Any

import click

from towpath.cli.directory import directory_option
from towpath.cli.platform_options import PORTS, kubeconfig_option, platform_options
from towpath.cli.serving_options import describe_git, describe_trust
from towpath.cli.worktree import declared_branch, declared_port
from towpath.config import DEFAULT_KUBE_PORT, find_root
from towpath.errors import UserError
from towpath.server.lifecycle import Running, run_platform
from towpath.server.settings import OutsideCluster, Settings


@click.command("up")
@platform_options
@kubeconfig_option("Run on the cluster of this file instead of the embedded one; remembered, with its context.")
@click.option("--context", default="", help="Which context of --kubeconfig.  [default: its current one]")
@click.option("--embedded", is_flag=True, help="Go back to the embedded cluster.")
@click.option("--kube-port", type=PORTS, default=DEFAULT_KUBE_PORT, help="Embedded Kubernetes API.", show_default=True)
@click.option(
    "--isolation",
    metavar="MODE",
    type=click.Choice(["sandbox+hostnetwork", "process"]),
    help="Keep pods apart by less than the machine offers: sandbox+hostnetwork; process: not at all.",
)
@click.option("-v", "--verbose", is_flag=True, help="Log what every part does.")
@directory_option
def command(
    port: int | None, kubeconfig: Path | None, context: str, verbose: bool, directory: Path, **options: Any
) -> None:
    """Run the platform: Git server, registry, builder, cluster and reconciler, in this one process.

    With --kubeconfig the cluster is yours (k3s, any Kubernetes) and pods run there; docs/kubernetes.md says how its
    nodes reach the registry. Ctrl-C stops the platform, and its pods where the cluster is the embedded one; what was
    pushed, built and promoted stays.
    """
    root = _root(directory.resolve(), remote=options["remote"])
    if context and kubeconfig is None:
        raise UserError("--context names a part of a kubeconfig (Usage)", hint="say which: --kubeconfig FILE")
    if kubeconfig is not None and options["embedded"]:
        raise UserError("--kubeconfig and --embedded exclude each other (Usage)", hint="name one of them")
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
    if running.trusted is not None:
        trusted = running.trusted.resolve()
        click.echo(describe_trust(running.tls_registry, trusted))
        if not running.remote:
            click.echo(describe_git(running.url, running.name, trusted))
    for warning in running.warnings:
        click.secho(f"  warning   {warning}", fg="yellow", err=True)
