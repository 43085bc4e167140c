"""Which cluster is meant: an explicit kubeconfig, `$KUBECONFIG`, `~/.kube/config`, or the pod this runs in.

The order is kubectl's. A file named explicitly must exist; of those in `$KUBECONFIG` missing ones are passed over.
"""

from collections.abc import Mapping
from pathlib import Path

from towpath.kubeclient.kubeconfig import (
    Cluster,
    Kubeconfig,
    KubeconfigError,
    Target,
    User,
    merge_kubeconfigs,
    parse_kubeconfig,
)

SERVICE_ACCOUNT_DIRECTORY = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def load_target(
    kubeconfig: Path | None = None,
    *,
    context: str = "",
    environ: Mapping[str, str],
    service_account: Path = SERVICE_ACCOUNT_DIRECTORY,
) -> Target:
    """Find and read the configuration.

    Args:
        kubeconfig: a file that wins over everything else.
        context: which context of it; by default its current one.
        environ: KUBECONFIG, HOME, and in a pod KUBERNETES_SERVICE_HOST and _PORT.
        service_account: where a pod finds its credentials.

    Raises:
        KubeconfigError: no configuration was found, or it cannot be used.
    """
    if kubeconfig is not None:
        return _load(kubeconfig).select(context)
    named = [Path(part) for part in environ.get("KUBECONFIG", "").split(":") if part]
    home = environ.get("HOME", "")
    candidates = named or ([Path(home) / ".kube" / "config"] if home else [])
    found = [path for path in candidates if path.is_file()]
    if found:
        return merge_kubeconfigs(map(_load, found)).select(context)
    inside = find_in_cluster_target(environ, service_account)
    if inside is not None and not context:
        return inside
    looked = ", ".join(map(str, candidates)) or "no place"
    raise KubeconfigError(
        f"no Kubernetes cluster is configured (NotFound): looked at {looked} and for a pod's service account",
        hint="pass a kubeconfig, or set KUBECONFIG",
    )


def find_in_cluster_target(environ: Mapping[str, str], service_account: Path) -> Target | None:
    """The cluster this process is a pod of, if it is one."""
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "")
    token = service_account / "token"
    if not host or not port or not token.is_file():
        return None
    shown = f"[{host}]" if ":" in host else host
    namespace = service_account / "namespace"
    return Target(
        "in-cluster",
        Cluster(server=f"https://{shown}:{port}", authority_file=str(service_account / "ca.crt")),
        User(token_file=str(token)),
        namespace.read_text().strip() if namespace.is_file() else "default",
    )


def _load(path: Path) -> Kubeconfig:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise KubeconfigError(f"{path}: kubeconfig cannot be read (Unreadable): {error.strerror}") from error
    return parse_kubeconfig(content, source=str(path))
