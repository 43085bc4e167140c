"""What the API server fills in when a field is left out, for every served kind.

Defaults matter beyond convenience: an applied configuration compares equal to the live object only if both have them,
and Go clients crash on some that are missing. What needs to know other objects (cluster IPs, uids, default accounts) is
decided by the kernel, not here. Call it on canonical objects: nulls would count as values.
"""

import base64
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from towpath.kube.objects import Object, gvk_of, name_of
from towpath.kube.pod_defaults import set_pod_defaults, set_pod_template_defaults

Fields: TypeAlias = dict[str, Any]

_RBAC = "rbac.authorization.k8s.io"
_AFFINITY_SECONDS = 10800  # upstream's three hours of client-IP affinity


def set_defaults(obj: Object) -> None:
    """Complete an object in place. Kinds without defaults, and kinds not served, are left alone."""
    gvk = gvk_of(obj)
    default = _DEFAULTS.get((gvk.group, gvk.kind))
    if default is not None:
        default(obj)


def _spec(obj: Object) -> Fields:
    spec = obj.setdefault("spec", {})
    return spec if isinstance(spec, dict) else {}


def _namespace(obj: Object) -> None:
    if name_of(obj):
        obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = name_of(obj)


def _secret(obj: Object) -> None:
    obj.setdefault("type", "Opaque")
    texts = obj.pop("stringData", None)
    if isinstance(texts, dict):
        data = obj.setdefault("data", {})
        for key, text in texts.items():
            data[key] = base64.b64encode(str(text).encode()).decode()


def _service(obj: Object) -> None:
    spec = _spec(obj)
    kind = spec["type"] = spec.get("type") or "ClusterIP"
    affinity = spec["sessionAffinity"] = spec.get("sessionAffinity") or "None"
    if affinity == "None":
        spec.pop("sessionAffinityConfig", None)
    elif affinity == "ClientIP":
        client = spec.setdefault("sessionAffinityConfig", {}).setdefault("clientIP", {})
        client.setdefault("timeoutSeconds", _AFFINITY_SECONDS)
    for port in spec.get("ports") or []:
        port.setdefault("protocol", "TCP")
        if port.get("targetPort") in {None, 0, ""} and "port" in port:
            port["targetPort"] = port["port"]
    if kind in {"NodePort", "LoadBalancer"}:
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
    if kind != "ExternalName":
        spec.setdefault("internalTrafficPolicy", "Cluster")


def _event(obj: Object) -> None:
    if "series" not in obj and "eventTime" not in obj:
        obj.setdefault("count", 1)


def _deployment(obj: Object) -> None:
    spec = _spec(obj)
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxSurge", "25%")
        rolling.setdefault("maxUnavailable", "25%")
    set_pod_template_defaults(spec.setdefault("template", {}))


def _replica_set(obj: Object) -> None:
    spec = _spec(obj)
    spec.setdefault("replicas", 1)
    set_pod_template_defaults(spec.setdefault("template", {}))


def _stateful_set(obj: Object) -> None:
    spec = _spec(obj)
    spec.setdefault("replicas", 1)
    spec.setdefault("podManagementPolicy", "OrderedReady")
    spec.setdefault("revisionHistoryLimit", 10)
    strategy = spec.setdefault("updateStrategy", {})
    if "type" not in strategy:  # upstream fills this in only together with the type
        strategy["type"] = "RollingUpdate"
        strategy.setdefault("rollingUpdate", {})
    if strategy["type"] == "RollingUpdate" and isinstance(strategy.get("rollingUpdate"), dict):
        strategy["rollingUpdate"].setdefault("partition", 0)
        strategy["rollingUpdate"].setdefault("maxUnavailable", 1)
    retention = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
    retention.setdefault("whenDeleted", "Retain")
    retention.setdefault("whenScaled", "Retain")
    set_pod_template_defaults(spec.setdefault("template", {}))


def _job(obj: Object) -> None:
    spec = _spec(obj)
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", 6)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("manualSelector", False)
    spec.setdefault("suspend", False)
    spec.setdefault("podReplacementPolicy", "Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed")
    template = spec.setdefault("template", {})
    set_pod_template_defaults(template)
    labels = template["metadata"].get("labels")
    metadata = obj.setdefault("metadata", {})
    if labels and not metadata.get("labels"):
        # The same mapping, as upstream: what the server adds to the template's labels is then added to these too.
        metadata["labels"] = labels


def _endpoint_slice(obj: Object) -> None:
    for port in obj.get("ports") or []:
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")


def _role_binding(obj: Object) -> None:
    if isinstance(reference := obj.get("roleRef"), dict):
        reference["apiGroup"] = reference.get("apiGroup") or _RBAC
    for subject in obj.get("subjects") or []:
        if subject.get("kind") in {"User", "Group"}:
            subject["apiGroup"] = subject.get("apiGroup") or _RBAC


_DEFAULTS: Mapping[tuple[str, str], Callable[[Object], None]] = MappingProxyType(
    {
        ("", "Namespace"): _namespace,
        ("", "Secret"): _secret,
        ("", "Service"): _service,
        ("", "Pod"): set_pod_defaults,
        ("", "Event"): _event,
        ("apps", "Deployment"): _deployment,
        ("apps", "ReplicaSet"): _replica_set,
        ("apps", "StatefulSet"): _stateful_set,
        ("batch", "Job"): _job,
        ("discovery.k8s.io", "EndpointSlice"): _endpoint_slice,
        (_RBAC, "RoleBinding"): _role_binding,
    }
)
