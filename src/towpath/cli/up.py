"""`towpath up`: run the platform until it is told to stop."""

from pathlib import Path

import click

from towpath.cli.connected import directory_option
from towpath.config import DEFAULT_HOST, DEFAULT_KUBE_PORT, DEFAULT_PORT, Settings, find_root
from towpath.server.lifecycle import Running, run_platform


@click.command("up")
@click.option("--host", default=DEFAULT_HOST, help="Where to listen.", show_default=True)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, help="Git, registry, API.", show_default=True
)
@click.option(
    "--kube-port", type=click.IntRange(0, 65535), default=DEFAULT_KUBE_PORT, help="Kubernetes API.", show_default=True
)
@click.option("--remote", default="", help="Follow this Git repository instead of hosting one.")
@click.option(
    "--poll", "poll_seconds", type=float, default=60.0, help="Seconds between looks at --remote.", show_default=True
)
@click.option("-v", "--verbose", is_flag=True, help="Log what every part does.")
@directory_option
def command(
    host: str, port: int, kube_port: int, remote: str, poll_seconds: float, verbose: bool, directory: Path
) -> None:
    """Run the platform: Git server, registry, builder, cluster and reconciler, in this one process.

    Ctrl-C stops it and its pods; what was pushed, built and promoted stays.
    """
    settings = Settings(
        root=find_root(directory.resolve()),
        host=host,
        port=port,
        kube_port=kube_port,
        remote=remote,
        poll_seconds=poll_seconds,
    )
    run_platform(settings, on_ready=_greet, verbose=verbose)


def _greet(running: Running) -> None:
    click.echo(f"{running.name} is up at {running.url} after {running.start_seconds:.2f} s ({running.isolation})")
    click.echo(f"  push      git push towpath {running.branch}")
    click.echo("  look      towpath status")
    click.echo("  kubectl   export KUBECONFIG=$(towpath kubeconfig --path)")
    click.echo("  stop      Ctrl-C")
