"""Which outside cluster a platform runs on, remembered in `.towpath/cluster.json`.

`towpath up --kubeconfig FILE` need be said once; the context is pinned at that moment, so that a later `kubectl config
use-context` moves nobody's production. `--embedded` goes back. What is in the kubeconfig is never copied.

A choice is remembered when the platform has started with it: one that fails leaves the earlier one as it was.
"""

import json
import os
from dataclasses import replace
from pathlib import Path

from towpath.aio.files import write_durably
from towpath.errors import TowpathError, UserError
from towpath.kubeclient.kubeconfig import KubeconfigError
from towpath.kubeclient.target import load_target
from towpath.server.settings import OutsideCluster, Settings

CLUSTER_FILE = "cluster.json"
FORMAT = 1
GO_BACK = "name another with --kubeconfig FILE, or go back to the embedded cluster: towpath up --embedded"


def recall_cluster(settings: Settings) -> Settings:
    """The same settings with the cluster of an earlier start where none is named; one that is named gets its context.

    Raises:
        UserError: the file is damaged, or the kubeconfig cannot be used.
    """
    if settings.embedded:
        return settings
    if settings.outside is None:
        return replace(settings, outside=find_cluster(settings.state))
    if settings.outside.kubeconfig is None:
        return settings  # a pod's own: nothing to remember, and what a person chose before stays as it is
    # Without `..`. A file that is itself a link stays one: whoever links another there means that other.
    kubeconfig = settings.outside.kubeconfig.parent.resolve() / settings.outside.kubeconfig.name
    context = load_target(kubeconfig, context=settings.outside.context, environ={}).name
    return replace(settings, outside=replace(settings.outside, kubeconfig=kubeconfig, context=context))


def remember_cluster(settings: Settings) -> None:
    """Have later starts choose as these settings do, which `recall_cluster` has completed. Raises OSError."""
    path = settings.state / CLUSTER_FILE
    outside = settings.outside
    if settings.embedded:
        path.unlink(missing_ok=True)
    if outside is None or outside.kubeconfig is None:
        return
    document = {
        "version": FORMAT,
        "kubeconfig": os.fspath(outside.kubeconfig),
        "context": outside.context,
        "namespace": outside.namespace,
    }
    content = json.dumps(document, indent=2).encode() + b"\n"
    if not path.exists() or path.read_bytes() != content:
        write_durably(path, content, mode=0o600)


def explain_remembered(settings: Settings, error: TowpathError) -> None:
    """Complete the hint of a start that failed for its kubeconfig, where that was not named for this start."""
    if isinstance(error, KubeconfigError) and settings.outside is None and not settings.embedded:
        told = f"an earlier start named this cluster; {GO_BACK}"
        error.hint = f"{error.hint}; {told}" if error.hint else told


def find_cluster(state: Path) -> OutsideCluster | None:
    """The cluster that was named before; None for the embedded one. Raises UserError."""
    path = state / CLUSTER_FILE
    try:
        document = json.loads(path.read_text())
        if document["version"] != FORMAT:
            raise UserError(f"{path} cannot be read (Version): {document['version']}, expected {FORMAT}", hint=GO_BACK)
        return OutsideCluster(
            Path(document["kubeconfig"]), context=str(document["context"]), namespace=str(document["namespace"])
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} cannot be read (Damaged): {error}", hint=GO_BACK) from error
