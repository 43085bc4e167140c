"""`towpath serve`: the platform for long-running use on a Kubernetes, as a pod of it or beside it."""

import logging
from pathlib import Path
from typing import Any

import click

from towpath.cli.directory import directory_option
from towpath.cli.platform_options import kubeconfig_option, platform_options
from towpath.cli.worktree import declared_branch, declared_port
from towpath.config import DEFAULT_NAMESPACE
from towpath.errors import UserError
from towpath.kubeclient.target import SERVICE_ACCOUNT_DIRECTORY
from towpath.server.lifecycle import Running, run_platform
from towpath.server.settings import OutsideCluster, Settings

log = logging.getLogger(__name__)


@click.command("serve")
@platform_options
@kubeconfig_option("The cluster to run on.  [default: the one this is a pod of]")
@click.option("--context", default="", help="Which context of --kubeconfig.  [default: its current one]")
@click.option("--namespace", help="The platform's own, for its inventories.  [default: the pod's, or towpath]")
@directory_option
def command(
    port: int | None, kubeconfig: Path | None, context: str, namespace: str | None, directory: Path, **options: Any
) -> None:
    """Run the platform on a Kubernetes with the least rights, and log what it does.

    It acts as the service account of the pod it runs in, or as --kubeconfig says; `towpath manifest` prints all that
    the cluster needs for it. The platform is named after the directory, which need not be a working copy: push to it,
    or let it follow --remote.
    """
    if context and kubeconfig is None:
        raise UserError("--context names a part of a kubeconfig (Usage)", hint="say which: --kubeconfig FILE")
    root = directory.resolve()
    settings = Settings(
        **{**options, "branch": options["branch"] or declared_branch(root)},
        root=root,
        port=declared_port(root) if port is None else port,
        outside=OutsideCluster(kubeconfig, context, namespace or _own_namespace()),
    )
    run_platform(settings, on_ready=_tell, verbose=True)


def _own_namespace() -> str:
    """The namespace of the pod this is, or the usual one."""
    file = SERVICE_ACCOUNT_DIRECTORY / "namespace"
    try:
        return file.read_text().strip() or DEFAULT_NAMESPACE
    except OSError:
        return DEFAULT_NAMESPACE


def _tell(running: Running) -> None:
    log.info("%s serves at %s (%s)", running.name, running.url, running.runtime)
    for warning in running.warnings:
        log.warning("%s", warning)
