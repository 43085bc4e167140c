"""The conversation with a credential plugin: `ExecCredential` documents in and out. Pure; `credentials` runs it."""

import base64
from dataclasses import dataclass, field
from typing import Any

import orjson

from towpath.aio.clock import parse_rfc3339
from towpath.kube.errors import UnauthorizedError
from towpath.kubeclient.kubeconfig import Cluster, ExecPlugin


@dataclass(frozen=True, slots=True)
class ExecCredential:
    """What a plugin printed. `expires` is in seconds since the epoch; None: good until refused."""

    token: str = field(default="", repr=False)
    certificate: bytes = b""
    key: bytes = field(default=b"", repr=False)
    expires: float | None = None


def format_exec_info(plugin: ExecPlugin, cluster: Cluster) -> str:
    """The value of KUBERNETES_EXEC_INFO: what the plugin may know of the cluster, and that nobody can answer it."""
    spec: dict[str, Any] = {"interactive": False}
    if plugin.provide_cluster_info:
        described = {
            "server": cluster.server,
            "tls-server-name": cluster.tls_server_name,
            "insecure-skip-tls-verify": cluster.insecure,
            "certificate-authority-data": base64.b64encode(cluster.authority).decode(),
            "proxy-url": cluster.proxy_url,
        }
        spec["cluster"] = {key: value for key, value in described.items() if value}
    return orjson.dumps({"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec}).decode()


def parse_exec_credential(output: bytes, plugin: ExecPlugin) -> ExecCredential:
    """What the plugin printed. Raises UnauthorizedError when it is no credential; the output is never shown."""
    try:
        document = orjson.loads(output)
        status = document["status"]
        token = status.get("token") or ""
        certificate = (status.get("clientCertificateData") or "").encode()
        key = (status.get("clientKeyData") or "").encode()
        stamp = status.get("expirationTimestamp")
        expires = parse_rfc3339(stamp) if stamp else None
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise _fault(plugin, "its output is no ExecCredential") from error
    if document.get("apiVersion") != plugin.api_version:
        raise _fault(plugin, f"it speaks {document.get('apiVersion')!r}, and {plugin.api_version!r} is configured")
    if not token and not (certificate and key):
        raise _fault(plugin, "it gave neither a token nor a certificate with its key")
    return ExecCredential(token, certificate, key, expires)


def _fault(plugin: ExecPlugin, text: str) -> UnauthorizedError:
    return UnauthorizedError(f"credential plugin {plugin.command} failed (BadCredential): {text}")
