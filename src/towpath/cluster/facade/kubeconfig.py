"""The kubeconfig of the embedded cluster: one cluster, one user, one context; the CA and the token are inside."""

import base64
from pathlib import Path

import yaml

from towpath.aio.files import write_durably


def format_kubeconfig(*, name: str, server: str, authority: bytes, token: str, namespace: str = "default") -> bytes:
    """The YAML of a kubeconfig.

    Args:
        name: of the cluster, the user and the context.
        server: `https://127.0.0.1:7443`.
        authority: the CA certificate, PEM.
        token: the bearer token.
        namespace: what kubectl uses without `-n`.
    """
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": name,
                "cluster": {"server": server, "certificate-authority-data": base64.b64encode(authority).decode()},
            }
        ],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": namespace}}],
        "current-context": name,
    }
    return yaml.safe_dump(document, sort_keys=False).encode()


def write_kubeconfig(path: Path, content: bytes) -> None:
    """Write it, readable by its owner alone."""
    write_durably(path, content, mode=0o600)
