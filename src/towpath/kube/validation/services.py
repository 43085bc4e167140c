"""Rules for Services and EndpointSlices."""

import ipaddress
from typing import Any, TypeAlias

from towpath.kube.objects import Object
from towpath.kube.validation.causes import Causes
from towpath.kube.validation.containers import PROTOCOLS
from towpath.kube.validation.metadata import validate_immutable, validate_labels
from towpath.kube.validation.names import label_faults, port_faults, port_name_faults, subdomain_faults

Fields: TypeAlias = dict[str, Any]

_MOST_ENDPOINTS = 1000


def validate_service(obj: Object, old: Object | None, causes: Causes) -> None:
    """Check a Service; its address is for life, unless it becomes or stops being an external name."""
    spec = obj.get("spec") or {}
    kind = spec.get("type", "ClusterIP")
    causes.one_of("spec.type", kind, ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort"))
    causes.one_of("spec.sessionAffinity", spec.get("sessionAffinity", "None"), ("ClientIP", "None"))
    validate_labels(spec.get("selector"), "spec.selector", causes)
    headless = spec.get("clusterIP") == "None"
    if kind == "ExternalName":
        if not spec.get("externalName"):
            causes.required("spec.externalName")
        else:
            causes.check("spec.externalName", spec["externalName"], subdomain_faults(spec["externalName"].rstrip(".")))
    elif not spec.get("ports") and not headless:
        causes.required("spec.ports")
    if headless and kind in {"NodePort", "LoadBalancer"}:
        causes.invalid("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services")
    _validate_ports(spec.get("ports") or [], causes)
    if spec.get("clusterIP") not in {None, "", "None"} and not _is_address(spec["clusterIP"]):
        text = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        causes.invalid("spec.clusterIPs[0]", spec["clusterIP"], text)
    if "IPv6" in (spec.get("ipFamilies") or []) and not headless:
        causes.one_of("spec.ipFamilies", "IPv6", ("IPv4",))
    before = (old or {}).get("spec") or {}
    kept = "ExternalName" not in {kind, before.get("type")} and bool(before.get("clusterIP"))
    if kept and spec.get("clusterIP") != before["clusterIP"]:
        causes.invalid("spec.clusterIPs[0]", [spec.get("clusterIP", "")], "may not change once set")


def validate_endpoint_slice(obj: Object, old: Object | None, causes: Causes) -> None:
    """Check an EndpointSlice; its address type is for life."""
    kind = obj.get("addressType", "")
    causes.one_of("addressType", kind, ("FQDN", "IPv4", "IPv6"))
    if old is not None:
        validate_immutable(old.get("addressType"), kind, "addressType", causes)
    endpoints = obj.get("endpoints") or []
    if len(endpoints) > _MOST_ENDPOINTS:
        text = f"Too many: {len(endpoints)}: must have at most {_MOST_ENDPOINTS} items"
        causes.add("endpoints", "FieldValueTooMany", text)
    for index, endpoint in enumerate(endpoints):
        where = f"endpoints[{index}].addresses"
        if not endpoint.get("addresses"):
            causes.required(where, "must contain at least 1 endpoint")
        for position, address in enumerate(endpoint.get("addresses") or []):
            if kind in {"IPv4", "IPv6"} and not _is_address(address):
                causes.invalid(f"{where}[{position}]", address, f"must be an {kind} address")
    for index, port in enumerate(obj.get("ports") or []):
        causes.one_of(f"ports[{index}].protocol", port.get("protocol", "TCP"), PROTOCOLS)


def _validate_ports(ports: list[Fields], causes: Causes) -> None:
    names: set[str] = set()
    taken: set[tuple[str, int]] = set()
    for index, port in enumerate(ports):
        where = f"spec.ports[{index}]"
        name, number, protocol = port.get("name") or "", port.get("port") or 0, port.get("protocol", "TCP")
        if not name and len(ports) > 1:
            causes.required(f"{where}.name")
        elif name:
            causes.check(f"{where}.name", name, label_faults(name))
            if name in names:
                causes.duplicate(f"{where}.name", name)
            names.add(name)
        causes.check(f"{where}.port", number, port_faults(number))
        causes.one_of(f"{where}.protocol", protocol, PROTOCOLS)
        target = port.get("targetPort") or number
        faults = port_name_faults(target) if isinstance(target, str) else port_faults(target)
        causes.check(f"{where}.targetPort", target, faults)
        if (protocol, number) in taken:
            causes.duplicate(where, {"protocol": protocol, "port": number})
        taken.add((protocol, number))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
