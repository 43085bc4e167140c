"""Rules for containers: ports, environment, mounts, probes, resources."""

from collections.abc import Collection, Iterable
from typing import Any, TypeAlias

from towpath.kube.quantity import QuantityError, parse_quantity
from towpath.kube.validation.causes import Causes
from towpath.kube.validation.names import (
    label_faults,
    port_faults,
    port_name_faults,
    relative_path_faults,
    variable_faults,
)

Fields: TypeAlias = dict[str, Any]

PROTOCOLS = ("SCTP", "TCP", "UDP")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
_FIELD_PATHS = frozenset(
    {
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    }
)
_RESOURCE_FIELDS = frozenset(
    f"{kind}.{name}" for kind in ("limits", "requests") for name in ("cpu", "memory", "ephemeral-storage")
)


def validate_containers(spec: Fields, field: str, volumes: Collection[str], causes: Causes) -> None:
    """Check the containers and init containers of a pod spec. `volumes` are the names of its volumes."""
    if not spec.get("containers"):
        causes.required(f"{field}.containers")
    names: set[str] = set()
    host_network = bool(spec.get("hostNetwork"))
    for group in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(group) or []):
            where = f"{field}.{group}[{index}]"
            _validate_name(container.get("name"), names, where, causes)
            _validate_image(container, where, causes)
            _validate_ports(container.get("ports") or [], f"{where}.ports", causes, host_network=host_network)
            _validate_environment(container, where, causes)
            _validate_mounts(container.get("volumeMounts") or [], f"{where}.volumeMounts", volumes, causes)
            _validate_resources(container.get("resources") or {}, f"{where}.resources", causes)
            is_init = group == "initContainers" and container.get("restartPolicy") != "Always"
            _validate_probes(container, where, causes, forbidden=is_init)


def _validate_name(name: Any, names: set[str], where: str, causes: Causes) -> None:
    if not name:
        causes.required(f"{where}.name")
        return
    causes.check(f"{where}.name", name, label_faults(name))
    if name in names:
        causes.duplicate(f"{where}.name", name)
    names.add(name)


def _validate_image(container: Fields, where: str, causes: Causes) -> None:
    image = container.get("image") or ""
    if not image:
        causes.required(f"{where}.image")
    elif image.strip() != image:
        causes.invalid(f"{where}.image", image, "must not have leading or trailing whitespace")
    if "imagePullPolicy" in container:
        causes.one_of(f"{where}.imagePullPolicy", container["imagePullPolicy"], ("Always", "IfNotPresent", "Never"))
    if "terminationMessagePolicy" in container:
        causes.one_of(
            f"{where}.terminationMessagePolicy",
            container["terminationMessagePolicy"],
            ("FallbackToLogsOnError", "File"),
        )


def _validate_ports(ports: Iterable[Fields], field: str, causes: Causes, *, host_network: bool) -> None:
    names: set[str] = set()
    for index, port in enumerate(ports):
        where = f"{field}[{index}]"
        if name := port.get("name"):
            causes.check(f"{where}.name", name, port_name_faults(name))
            if name in names:
                causes.duplicate(f"{where}.name", name)
            names.add(name)
        number = port.get("containerPort")
        if not number:
            causes.required(f"{where}.containerPort")
        else:
            causes.check(f"{where}.containerPort", number, port_faults(number))
        if host := port.get("hostPort"):
            causes.check(f"{where}.hostPort", host, port_faults(host))
            if host_network and host != number:
                causes.invalid(f"{where}.hostPort", host, "must match `containerPort` when `hostNetwork` is true")
        causes.one_of(f"{where}.protocol", port.get("protocol", "TCP"), PROTOCOLS)


def _validate_environment(container: Fields, where: str, causes: Causes) -> None:
    for index, variable in enumerate(container.get("env") or []):
        below = f"{where}.env[{index}]"
        name = variable.get("name")
        if not name:
            causes.required(f"{below}.name")
        else:
            causes.check(f"{below}.name", name, variable_faults(name))
        if (source := variable.get("valueFrom")) is not None:
            _validate_source(source, variable, f"{below}.valueFrom", causes)
    for index, source in enumerate(container.get("envFrom") or []):
        below = f"{where}.envFrom[{index}]"
        given = [kind for kind in ("configMapRef", "secretRef") if kind in source]
        if not given:
            causes.invalid(below, "", "must specify one of: `configMapRef` or `secretRef`")
        elif len(given) > 1:
            causes.invalid(below, "", "may not have more than one field specified at a time")
        elif not source[given[0]].get("name"):
            causes.required(f"{below}.{given[0]}.name")


def _validate_source(source: Fields, variable: Fields, where: str, causes: Causes) -> None:
    kinds = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
    given = [kind for kind in kinds if kind in source]
    if not given:
        causes.invalid(
            where,
            "",
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        )
    if len(given) > 1:
        causes.invalid(where, "", "may not have more than one field specified at a time")
    if given and variable.get("value"):
        causes.invalid(where, "", "may not be specified when `value` is not empty")
    for kind in ("configMapKeyRef", "secretKeyRef"):
        if kind in source and not source[kind].get("key"):
            causes.required(f"{where}.{kind}.key")
    if "fieldRef" in source:
        validate_field_path(source["fieldRef"], f"{where}.fieldRef", causes)
    if "resourceFieldRef" in source:
        _validate_resource_field(source["resourceFieldRef"], f"{where}.resourceFieldRef", causes)


def validate_field_path(reference: Fields, where: str, causes: Causes) -> None:
    """Check a downward-API reference to a field of the pod."""
    path = reference.get("fieldPath") or ""
    if not path:
        causes.required(f"{where}.fieldPath")
        return
    subscripted = path.startswith(("metadata.labels['", "metadata.annotations['")) and path.endswith("']")
    if not subscripted:
        causes.one_of(f"{where}.fieldPath", path, sorted(_FIELD_PATHS))


def _validate_resource_field(reference: Fields, where: str, causes: Causes) -> None:
    if not reference.get("resource"):
        causes.required(f"{where}.resource")
    else:
        causes.one_of(f"{where}.resource", reference["resource"], sorted(_RESOURCE_FIELDS))


def _validate_mounts(mounts: Iterable[Fields], field: str, volumes: Collection[str], causes: Causes) -> None:
    paths: set[str] = set()
    for index, mount in enumerate(mounts):
        where = f"{field}[{index}]"
        if not mount.get("name"):
            causes.required(f"{where}.name")
        elif mount["name"] not in volumes:
            causes.not_found(f"{where}.name", mount["name"])
        path = mount.get("mountPath") or ""
        if not path:
            causes.required(f"{where}.mountPath")
        if path in paths:
            causes.invalid(f"{where}.mountPath", path, "must be unique")
        paths.add(path)
        if mount.get("subPath"):
            causes.check(f"{where}.subPath", mount["subPath"], relative_path_faults(mount["subPath"]))
            if mount.get("subPathExpr"):
                causes.invalid(
                    f"{where}.subPathExpr",
                    mount["subPathExpr"],
                    "subPathExpr and subPath are mutually exclusive",
                )


def _validate_resources(resources: Fields, field: str, causes: Causes) -> None:
    amounts: dict[str, dict[str, Any]] = {"limits": {}, "requests": {}}
    for kind, found in amounts.items():
        for name, text in (resources.get(kind) or {}).items():
            where = f"{field}.{kind}[{name}]"
            try:
                found[name] = parse_quantity(text)
            except QuantityError as error:
                causes.invalid(where, text, error.message)
                continue
            if found[name] < 0:
                causes.invalid(where, text, "must be greater than or equal to 0")
    for name, request in amounts["requests"].items():
        limit = amounts["limits"].get(name)
        if limit is not None and request > limit:
            text = resources["requests"][name]
            detail = f"must be less than or equal to {name} limit of {resources['limits'][name]}"
            causes.invalid(f"{field}.requests", text, detail)


def _validate_probes(container: Fields, where: str, causes: Causes, *, forbidden: bool) -> None:
    for name in _PROBES:
        probe = container.get(name)
        if probe is None:
            continue
        field = f"{where}.{name}"
        if forbidden:
            causes.forbidden(field, "may not be set for init containers without restartPolicy=Always")
            continue
        _validate_handler(probe, field, causes)
        for number in (
            "initialDelaySeconds",
            "timeoutSeconds",
            "periodSeconds",
            "successThreshold",
            "failureThreshold",
        ):
            causes.at_least(f"{field}.{number}", probe.get(number))
        if name != "readinessProbe" and probe.get("successThreshold", 1) != 1:
            causes.invalid(f"{field}.successThreshold", probe["successThreshold"], "must be 1")


def _validate_handler(handler: Fields, field: str, causes: Causes) -> None:
    given = [kind for kind in _HANDLERS if kind in handler]
    if not given:
        causes.required(field, "must specify a handler type")
    for kind in given[1:]:
        causes.forbidden(f"{field}.{kind}", "may not specify more than 1 handler type")
    if "exec" in handler and not (handler["exec"] or {}).get("command"):
        causes.required(f"{field}.exec.command")
    for kind in ("httpGet", "tcpSocket"):
        if kind in handler:
            _validate_port_reference(handler[kind].get("port"), f"{field}.{kind}.port", causes)
    if "grpc" in handler:
        causes.check(f"{field}.grpc.port", handler["grpc"].get("port", 0), port_faults(handler["grpc"].get("port", 0)))
    if "httpGet" in handler:
        causes.one_of(f"{field}.httpGet.scheme", handler["httpGet"].get("scheme", "HTTP"), ("HTTP", "HTTPS"))


def _validate_port_reference(port: Any, field: str, causes: Causes) -> None:
    if isinstance(port, str):
        causes.check(field, port, port_name_faults(port))
    else:
        causes.check(field, port or 0, port_faults(port or 0))
