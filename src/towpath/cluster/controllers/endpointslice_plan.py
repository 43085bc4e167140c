"""Which EndpointSlices a Service should have. Pure.

Pods whose named target ports resolve to different numbers stand in different slices, because a slice has one list of
ports. A Service that selects pods always has a slice, if an empty one: "nobody" is an answer too. Slices that are right
already keep their names and are not written again.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from towpath.cluster.controllers.ownership import is_terminating, prepare_owner_reference
from towpath.cluster.controllers.pods import is_finished, is_ready
from towpath.kube.objects import GVK, Object, find_path, labels_of, name_of, namespace_of, uid_of
from towpath.kube.selectors import LabelSelector

ENDPOINT_SLICE = GVK("discovery.k8s.io", "v1", "EndpointSlice")
SERVICE_NAME_LABEL = "kubernetes.io/service-name"
MANAGED_BY_LABEL = "endpointslice.kubernetes.io/managed-by"
MANAGED_BY = "endpointslice-controller.k8s.io"
HEADLESS_LABEL = "service.kubernetes.io/headless"

# 100: upstream's default, so that one change rewrites little.
MAX_ENDPOINTS = 100

Port = tuple[str, str, int | None, str]


@dataclass(frozen=True, slots=True)
class SlicePlan:
    """Slices to create (without a name), to replace and to delete."""

    create: list[Object] = field(default_factory=list)
    update: list[Object] = field(default_factory=list)
    delete: list[Object] = field(default_factory=list)


def selects_pods(service: Object) -> bool:
    """Whether the Service's slices are ours to keep: without a selector they are written by hand."""
    return bool(find_path(service, "spec", "selector")) and find_path(service, "spec", "type") != "ExternalName"


def selector_of(service: Object) -> LabelSelector:
    """Which pods serve it."""
    return LabelSelector.of_labels(find_path(service, "spec", "selector"))


def plan_slices(service: Object, pods: Sequence[Object], existing: Sequence[Object]) -> SlicePlan:
    """Compare the slices that should be with those that are.

    Args:
        service: the Service.
        pods: the pods it selects.
        existing: the slices it has.
    """
    plan = SlicePlan()
    unused = list(existing)
    for wanted in _wanted_slices(service, pods):
        # The slice of the same ports is changed rather than replaced: whoever watches sees an endpoint come or go.
        match = next((one for one in unused if one.get("ports") == wanted["ports"]), None)
        match = match or (unused[0] if unused else None)
        if match is None:
            plan.create.append(wanted)
            continue
        unused.remove(match)
        changed = _merged(match, wanted)
        if changed != match:
            plan.update.append(changed)
    plan.delete.extend(unused)
    return plan


def _wanted_slices(service: Object, pods: Sequence[Object]) -> list[Object]:
    groups: dict[tuple[Port, ...], list[dict[str, Any]]] = defaultdict(list)
    for pod in sorted(pods, key=name_of):
        if find_path(pod, "status", "podIP") and not is_finished(pod):
            groups[_ports_of(service, pod)].append(_endpoint(service, pod))
    if not groups:
        groups[()] = []
    return [
        _slice(service, ports, endpoints[start : start + MAX_ENDPOINTS])
        for ports, endpoints in groups.items()
        for start in range(0, max(1, len(endpoints)), MAX_ENDPOINTS)
    ]


def _ports_of(service: Object, pod: Object) -> tuple[Port, ...]:
    ports = []
    for port in find_path(service, "spec", "ports") or []:
        protocol = port.get("protocol") or "TCP"
        number = _target_port(port, protocol, pod)
        if number is not None:
            ports.append((port.get("name") or "", protocol, number, port.get("appProtocol") or ""))
    return tuple(ports)


def _target_port(port: dict[str, Any], protocol: str, pod: Object) -> int | None:
    target = port.get("targetPort") or port.get("port")
    if isinstance(target, int):
        return target
    for container in find_path(pod, "spec", "containers") or []:
        for named in container.get("ports") or []:
            if named.get("name") == target and (named.get("protocol") or "TCP") == protocol:
                return int(named["containerPort"])
    return None  # this pod does not have that port: it serves the others


def _endpoint(service: Object, pod: Object) -> dict[str, Any]:
    serving, terminating = is_ready(pod), is_terminating(pod)
    publishes_all = bool(find_path(service, "spec", "publishNotReadyAddresses"))
    endpoint: dict[str, Any] = {
        "addresses": [find_path(pod, "status", "podIP")],
        "conditions": {
            "ready": publishes_all or (serving and not terminating),
            "serving": serving,
            "terminating": terminating,
        },
        "targetRef": {
            "kind": "Pod",
            "namespace": namespace_of(pod),
            "name": name_of(pod),
            "uid": uid_of(pod),
        },
    }
    node = find_path(pod, "spec", "nodeName")
    if node:
        endpoint["nodeName"] = node
    hostname = find_path(pod, "spec", "hostname")
    if hostname and find_path(pod, "spec", "subdomain") == name_of(service):
        endpoint["hostname"] = hostname
    return endpoint


def _slice(service: Object, ports: tuple[Port, ...], endpoints: list[dict[str, Any]]) -> Object:
    is_headless = find_path(service, "spec", "clusterIP") == "None"
    return {
        "apiVersion": ENDPOINT_SLICE.api_version,
        "kind": ENDPOINT_SLICE.kind,
        "metadata": {
            "namespace": namespace_of(service),
            "labels": {
                **labels_of(service),
                SERVICE_NAME_LABEL: name_of(service),
                MANAGED_BY_LABEL: MANAGED_BY,
                **({HEADLESS_LABEL: ""} if is_headless else {}),
            },
            "ownerReferences": [prepare_owner_reference(service)],
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [
            {
                "name": name,
                "protocol": protocol,
                "port": number,
                **({"appProtocol": application} if application else {}),
            }
            for name, protocol, number, application in ports
        ],
    }


def _merged(existing: Object, wanted: Object) -> Object:
    metadata = {
        **existing["metadata"],
        "labels": wanted["metadata"]["labels"],
        "ownerReferences": wanted["metadata"]["ownerReferences"],
    }
    return {**existing, "metadata": metadata, "endpoints": wanted["endpoints"], "ports": wanted["ports"]}
