"""The objects that let Towpath run on a cluster: namespaces, an account with its roles, and the platform itself. Pure.

What may look odd has its reason beside it, as a comment that `text` prints. A StatefulSet, not a Deployment: the
platform is one process with one volume, and two of them at once would both write.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from towpath.install.rights import RBAC, Rights, Rule
from towpath.kube.objects import Object

NAME = "towpath"
PORT = 7070
DATA = "/var/lib/towpath"
TOKEN_DIRECTORY = "/etc/towpath/git"  # noqa: S105 - a path
TOKEN_KEY = "token"  # noqa: S105 - the name of a key
# 65532: "nonroot" in the common minimal images.
USER = 65532
NODE_PORTS = range(30000, 32768)


@dataclass(frozen=True, slots=True)
class Document:
    """One object, with what a reader should know of it, and of each of its rules."""

    obj: Object
    comment: str = ""
    whys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """How the platform runs as a pod.

    Attributes:
        image: the image that holds `towpath` and git.
        advertise: `host[:port]` at which nodes and people reach it.
        plain_http: whether that is spoken to without TLS.
        storage: the size of its volume.
        remote: the repository to follow; empty to host one.
        token_secret: the Secret with the access token for it; empty for none.

    Nothing stands before a port of the nodes, so there the pod itself speaks TLS, unless plain HTTP is chosen.
    """

    image: str
    advertise: str = ""
    plain_http: bool = False
    storage: str = "10Gi"
    remote: str = ""
    token_secret: str = ""

    @property
    def node_port(self) -> int | None:
        """The port of every node that is advertised; None where something else leads to the pod."""
        port = self.advertise.rpartition(":")[2]
        return int(port) if port.isdecimal() and int(port) in NODE_PORTS else None

    @property
    def tls(self) -> bool:
        """Whether the pod itself speaks TLS."""
        return self.node_port is not None and not self.plain_http


@dataclass(frozen=True, slots=True)
class _Maker:
    platform: str
    namespace: str
    labels: dict[str, str] = field(default_factory=dict)

    def make(self, api_version: str, kind: str, name: str, *, namespace: str = "", **rest: Any) -> Object:
        metadata: dict[str, Any] = {"name": name}
        if namespace:
            metadata["namespace"] = namespace
        return {"apiVersion": api_version, "kind": kind, "metadata": {**metadata, "labels": self.labels}, **rest}


def prepare_manifest(platform: str, rights: Rights, *, namespace: str, serving: Serving | None) -> list[Document]:
    """Everything to apply, in an order in which it can be.

    Args:
        platform: its name; one cluster may have several.
        rights: what its account may do.
        namespace: where it is.
        serving: how it runs there; None to make the account and its rights alone.
    """
    labels = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/instance": platform}
    maker = _Maker(platform, namespace, labels)
    documents = [*_namespaces(maker, rights), Document(maker.make("v1", "ServiceAccount", NAME, namespace=namespace))]
    documents += _roles(maker, rights)
    if serving is not None:
        documents += _serving(maker, serving)
    return documents


def _namespaces(maker: _Maker, rights: Rights) -> Iterator[Document]:
    yield Document(maker.make("v1", "Namespace", maker.namespace), "The platform's own.")
    for name in rights.namespaces:
        if name != maker.namespace:
            comment = "Must exist before a role can be in it. Deleting it deletes all that runs in it."
            # Without our labels: it is Git's, and `kubectl delete -l` must not find it.
            yield Document({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, comment)


def _roles(maker: _Maker, rights: Rights) -> Iterator[Document]:
    # Named after the platform: several may have rights in one namespace, and all share the names of the cluster.
    name = f"{NAME}-{maker.platform}"
    for namespace, rules in rights.namespaced.items():
        yield _role(maker, "Role", name, namespace, rules)
        yield _binding(maker, "RoleBinding", "Role", name, namespace)
    if rights.cluster:
        yield _role(maker, "ClusterRole", name, "", rights.cluster)
        yield _binding(maker, "ClusterRoleBinding", "ClusterRole", name, "")


def _role(maker: _Maker, kind: str, name: str, namespace: str, rules: Sequence[Rule]) -> Document:
    written = []
    for rule in rules:
        body: dict[str, Any] = {"apiGroups": [rule.group], "resources": list(rule.resources)}
        if rule.names:
            body["resourceNames"] = list(rule.names)
        written.append({**body, "verbs": list(rule.verbs)})
    obj = maker.make(f"{RBAC}/v1", kind, name, namespace=namespace, rules=written)
    comment = "" if namespace else "What is in no namespace, object by object."
    return Document(obj, comment, tuple(rule.why for rule in rules))


def _binding(maker: _Maker, kind: str, role: str, name: str, namespace: str) -> Document:
    reference = {"apiGroup": RBAC, "kind": role, "name": name}
    subject = {"kind": "ServiceAccount", "name": NAME, "namespace": maker.namespace}
    obj = maker.make(f"{RBAC}/v1", kind, name, namespace=namespace, roleRef=reference, subjects=[subject])
    return Document(obj)


def _serving(maker: _Maker, serving: Serving) -> Iterator[Document]:
    ports: dict[str, Any] = {"name": "http", "port": PORT, "targetPort": "http"}
    spec: dict[str, Any] = {"selector": maker.labels, "ports": [ports]}
    comment = "Git, registry, webhooks and API. Lead the advertised address here: an Ingress, or a load balancer."
    if serving.node_port is not None:
        ports["nodePort"] = serving.node_port
        spec["type"] = "NodePort"
        comment = "Git, registry, webhooks and API, on this port of every node: the containerd of each pulls from it."
    yield Document(maker.make("v1", "Service", NAME, namespace=maker.namespace, spec=spec), comment)
    comment = "One process and one volume: never more than one replica."
    yield Document(
        maker.make("apps/v1", "StatefulSet", NAME, namespace=maker.namespace, spec=_spec(maker, serving)), comment
    )


def _spec(maker: _Maker, serving: Serving) -> dict[str, Any]:
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": serving.storage}}},
    }
    return {
        "serviceName": NAME,
        "replicas": 1,
        "selector": {"matchLabels": maker.labels},
        "template": {"metadata": {"labels": maker.labels}, "spec": _pod(maker, serving)},
        "volumeClaimTemplates": [claim],
    }


def _pod(maker: _Maker, serving: Serving) -> dict[str, Any]:
    # Requests by an address are refused unless it is ours (DNS rebinding); a kubelet asks by the pod's own.
    asked: dict[str, Any] = {
        "path": "/healthz",
        "port": "http",
        "httpHeaders": [{"name": "Host", "value": "localhost"}],
    }
    if serving.tls:
        asked["scheme"] = "HTTPS"
    volumes: list[dict[str, Any]] = [{"name": "tmp", "emptyDir": {}}]
    mounts: list[dict[str, Any]] = [{"name": "data", "mountPath": DATA}, {"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 - a pod's own
    if serving.token_secret:
        volumes.append({"name": "git-token", "secret": {"secretName": serving.token_secret, "defaultMode": 0o440}})
        mounts.append({"name": "git-token", "mountPath": TOKEN_DIRECTORY, "readOnly": True})
    container = {
        "name": NAME,
        "image": serving.image,
        "command": ["towpath"],
        "args": _arguments(maker, serving),
        "env": [{"name": "HOME", "value": "/tmp"}],  # noqa: S108 - git and Python look for one
        "ports": [{"name": "http", "containerPort": PORT}],
        "readinessProbe": {"httpGet": asked, "periodSeconds": 5},
        "livenessProbe": {
            "tcpSocket": {"port": "http"},
            "initialDelaySeconds": 30,
            "periodSeconds": 20,
            "failureThreshold": 6,
        },
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    }
    return {
        "serviceAccountName": NAME,
        "terminationGracePeriodSeconds": 30,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": volumes,
    }


def _arguments(maker: _Maker, serving: Serving) -> list[str]:
    arguments = ["serve", "--host", "0.0.0.0", "--port", str(PORT), "--directory", f"{DATA}/{maker.platform}"]  # noqa: S104
    if serving.advertise:
        arguments += ["--advertise", serving.advertise]
    if serving.plain_http:
        arguments.append("--plain-http")
    if serving.tls:
        arguments.append("--tls")
    if serving.remote:
        arguments += ["--remote", serving.remote]
    if serving.token_secret:
        arguments += ["--remote-token-file", f"{TOKEN_DIRECTORY}/{TOKEN_KEY}"]
    return arguments
