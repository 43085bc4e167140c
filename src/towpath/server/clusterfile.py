"""Which outside cluster a platform runs on, remembered in `.towpath/cluster.json`.

`towpath up --kubeconfig FILE` need be said once; the context is pinned at that moment, so that a later `kubectl config
use-context` moves nobody's production. `--embedded` goes back. What is in the kubeconfig is never copied.
"""

import json
import os
from dataclasses import replace
from pathlib import Path

from towpath.aio.files import write_durably
from towpath.config import OutsideCluster, Settings
from towpath.errors import UserError
from towpath.kubeclient.target import load_target

CLUSTER_FILE = "cluster.json"
FORMAT = 1


def recall_cluster(settings: Settings) -> Settings:
    """The same settings with the cluster of an earlier start where none is named; one that is named is remembered.

    Raises:
        UserError: the file is damaged, or the kubeconfig cannot be used.
    """
    path = settings.state / CLUSTER_FILE
    if settings.embedded:
        path.unlink(missing_ok=True)
        return settings
    if settings.outside is None:
        return replace(settings, outside=find_cluster(settings.state))
    if settings.outside.kubeconfig is None:
        return settings  # a pod's own: nothing to remember, and what a person chose before stays as it is
    kubeconfig = settings.outside.kubeconfig.absolute()
    context = load_target(kubeconfig, context=settings.outside.context, environ={}).name
    outside = replace(settings.outside, kubeconfig=kubeconfig, context=context)
    document = {
        "version": FORMAT,
        "kubeconfig": os.fspath(kubeconfig),
        "context": context,
        "namespace": outside.namespace,
    }
    write_durably(path, json.dumps(document, indent=2).encode() + b"\n", mode=0o600)
    return replace(settings, outside=outside)


def find_cluster(state: Path) -> OutsideCluster | None:
    """The cluster that was named before; None for the embedded one. Raises UserError."""
    path = state / CLUSTER_FILE
    try:
        document = json.loads(path.read_text())
        if document["version"] != FORMAT:
            raise UserError(f"{path} cannot be read (Version): {document['version']}, expected {FORMAT}")
        return OutsideCluster(
            Path(document["kubeconfig"]), context=str(document["context"]), namespace=str(document["namespace"])
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} cannot be read (Damaged): {error}", hint="move it away, and name the cluster with --kubeconfig"
        ) from error
