"""Defaults of pods and pod templates, as upstream's `SetDefaults_PodSpec` and `SetDefaults_Container` give them.

A template gets everything but what depends on the pod being real: host ports, service links and requests derived from
limits come with the pod itself.
"""

from collections.abc import Iterable
from typing import Any, TypeAlias

Fields: TypeAlias = dict[str, Any]

FILE_MODE = 0o644  # of files in configMap, secret, downwardAPI and projected volumes
TOKEN_SECONDS = 3600
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_HOOKS = ("postStart", "preStop")


def set_pod_template_defaults(template: Fields) -> None:
    """Complete a pod template in place."""
    template.setdefault("metadata", {})
    set_pod_spec_defaults(template.setdefault("spec", {}))


def set_pod_spec_defaults(spec: Fields) -> None:
    """Complete the spec of a pod or a template in place."""
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("securityContext", {})
    spec.setdefault("terminationGracePeriodSeconds", 30)
    for volume in _maps(spec.get("volumes")):
        _set_volume_defaults(volume)
    for container in containers_of(spec):
        _set_container_defaults(container)


def set_pod_defaults(pod: Fields) -> None:
    """Complete a pod in place."""
    spec = pod.setdefault("spec", {})
    set_pod_spec_defaults(spec)
    spec.setdefault("enableServiceLinks", True)
    for container in containers_of(spec):
        resources = container["resources"]
        if isinstance(resources.get("limits"), dict):
            requests = resources.setdefault("requests", {})
            for name, limit in resources["limits"].items():
                requests.setdefault(name, limit)
        if spec.get("hostNetwork"):
            for port in _maps(container.get("ports")):
                if "containerPort" in port:
                    port["hostPort"] = port.get("hostPort") or port["containerPort"]


def containers_of(spec: Fields) -> list[Fields]:
    """Init containers, then containers."""
    return [*_maps(spec.get("initContainers")), *_maps(spec.get("containers"))]


def image_pull_policy(image: str) -> str:
    """`Always` for `latest`, said or meant; `IfNotPresent` for every other tag and for digests."""
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return "Always" if tag == "latest" or (not tag and not digest) else "IfNotPresent"


def _maps(value: Any) -> Iterable[Fields]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _set_container_defaults(container: Fields) -> None:
    container.setdefault("imagePullPolicy", image_pull_policy(str(container.get("image") or "")))
    container.setdefault("resources", {})
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    for port in _maps(container.get("ports")):
        port.setdefault("protocol", "TCP")
    for variable in _maps(container.get("env")):
        _set_field_reference_defaults(variable.get("valueFrom"))
    for name in _PROBES:
        if isinstance(probe := container.get(name), dict):
            _set_probe_defaults(probe)
    for name in _HOOKS:
        if isinstance(hook := (container.get("lifecycle") or {}).get(name), dict):
            _set_handler_defaults(hook)


def _set_field_reference_defaults(source: Any) -> None:
    if isinstance(source, dict) and isinstance(source.get("fieldRef"), dict):
        source["fieldRef"].setdefault("apiVersion", "v1")
    if isinstance(source, dict) and isinstance(source.get("resourceFieldRef"), dict):
        source["resourceFieldRef"].setdefault("divisor", "0")


def _set_probe_defaults(probe: Fields) -> None:
    for field, value in (
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ):
        probe[field] = probe.get(field) or value
    _set_handler_defaults(probe)


def _set_handler_defaults(handler: Fields) -> None:
    if isinstance(get := handler.get("httpGet"), dict):
        get["path"] = get.get("path") or "/"
        get["scheme"] = get.get("scheme") or "HTTP"
    if isinstance(grpc := handler.get("grpc"), dict):
        grpc.setdefault("service", "")


def _set_volume_defaults(volume: Fields) -> None:
    if set(volume) <= {"name"}:
        volume["emptyDir"] = {}
    for source in ("secret", "configMap", "downwardAPI", "projected"):
        if isinstance(fields := volume.get(source), dict):
            fields.setdefault("defaultMode", FILE_MODE)
    _set_items_defaults(volume.get("downwardAPI"))
    if isinstance(path := volume.get("hostPath"), dict):
        path.setdefault("type", "")
    if isinstance(projected := volume.get("projected"), dict):
        for part in _maps(projected.get("sources")):
            _set_items_defaults(part.get("downwardAPI"))
            if isinstance(token := part.get("serviceAccountToken"), dict):
                token.setdefault("expirationSeconds", TOKEN_SECONDS)


def _set_items_defaults(source: Any) -> None:
    for item in _maps(source.get("items") if isinstance(source, dict) else None):
        _set_field_reference_defaults(item)
