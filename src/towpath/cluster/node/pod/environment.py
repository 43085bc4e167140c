"""The environment and the command line of a container, by the kubelet's rules (pure).

Order: what the image says, service variables, `envFrom`, `env`; a later one wins. `$(NAME)` in `env`, `command` and
`args` is replaced if NAME is defined earlier, `$$(NAME)` stays as `$(NAME)`, anything unknown stays as it is.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from towpath.cluster.node.pod.fields import FieldError, resolve_field, resolve_resource
from towpath.cluster.node.pod.references import Config, ConfigKey, MissingConfigError
from towpath.kube.objects import Object, find_path, name_of, namespace_of
from towpath.oci.image import ImageConfig

_REFERENCE = re.compile(r"\$(?:\$\(|\$|\(([^()]*)\))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a container can refer to besides itself."""

    pod: Object
    config: Config
    allocatable: Mapping[str, str]
    services: Mapping[str, str]


def resolve_environment(container: Object, image: ImageConfig, around: Surroundings) -> dict[str, str]:
    """The variables a container starts with.

    Raises:
        MissingConfigError: a ConfigMap, a Secret or a key does not exist and is not optional.
        FieldError: a reference to a field that cannot be referred to.
    """
    result: dict[str, str] = {**image.env, **around.services}
    # References see what Kubernetes defines, not what the image does.
    visible: dict[str, str] = dict(around.services)
    for source in container.get("envFrom") or []:
        found = _read_source(source, around.config)
        result |= found
        visible |= found
    for variable in container.get("env") or []:
        name = variable["name"]
        value = _resolve_value(container, variable, visible, around)
        if value is not None:
            result[name] = visible[name] = value
    return result


def resolve_command(container: Object, image: ImageConfig, env: Mapping[str, str]) -> list[str]:
    """The command line: `command` replaces the image's entrypoint and drops its `Cmd`, `args` replaces `Cmd`."""
    command = [expand(part, env) for part in container.get("command") or []]
    arguments = [expand(part, env) for part in container.get("args") or []]
    if command:
        return [*command, *arguments]
    return [*image.entrypoint, *(arguments or image.cmd)]


def expand(text: str, env: Mapping[str, str]) -> str:
    """Replace `$(NAME)`."""

    def replace(match: re.Match[str]) -> str:
        if match[1] is not None:
            return env.get(match[1], match[0])
        return "$(" if match[0] == "$$(" else "$"

    return _REFERENCE.sub(replace, text)


def service_environment(
    services: Iterable[Object], *, links: bool, api: tuple[str, int], address_of: Mapping[str, str]
) -> dict[str, str]:
    """`KUBERNETES_SERVICE_HOST` and, with `enableServiceLinks`, the variables of the namespace's Services.

    Args:
        services: of the pod's namespace.
        links: whether Services are wanted beside the API's.
        api: address and port of the Kubernetes API as pods reach it.
        address_of: where pods reach a Service, by name.
    """
    host, port = api
    found = {
        "KUBERNETES_SERVICE_HOST": host,
        "KUBERNETES_SERVICE_PORT": str(port),
        "KUBERNETES_SERVICE_PORT_HTTPS": str(port),
        "KUBERNETES_PORT": f"tcp://{host}:{port}",
    }
    for service in services if links else ():
        address, ports = address_of.get(name_of(service), ""), find_path(service, "spec", "ports") or []
        if not address or not ports:
            continue
        prefix = name_of(service).upper().replace("-", "_")
        found[f"{prefix}_SERVICE_HOST"] = address
        found[f"{prefix}_SERVICE_PORT"] = str(ports[0]["port"])
        for entry in ports:
            if entry.get("name"):
                suffix = str(entry["name"]).upper().replace("-", "_")
                found[f"{prefix}_SERVICE_PORT_{suffix}"] = str(entry["port"])
    return found


def _read_source(source: Mapping[str, Any], config: Config) -> dict[str, str]:
    reference, kind = source.get("configMapRef"), "ConfigMap"
    if reference is None:
        reference, kind = source.get("secretRef") or {}, "Secret"
    key = ConfigKey(kind, reference.get("name", ""))
    data = config.find_data(key)
    if data is None:
        if reference.get("optional"):
            return {}
        data = config.get_data(key)
    prefix = source.get("prefix") or ""
    return {
        f"{prefix}{name}": value.decode(errors="replace")
        for name, value in sorted(data.items())
        if "=" not in name and "\0" not in name
    }


def _resolve_value(
    container: Object, variable: Mapping[str, Any], visible: Mapping[str, str], around: Surroundings
) -> str | None:
    """The value; None for an optional one that does not exist."""
    origin = variable.get("valueFrom")
    if not origin:
        return expand(str(variable.get("value") or ""), visible)
    if origin.get("fieldRef"):
        return resolve_field(around.pod, origin["fieldRef"].get("fieldPath", ""))
    if origin.get("resourceFieldRef"):
        return resolve_resource(container, origin["resourceFieldRef"], allocatable=around.allocatable)
    for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
        reference = origin.get(field)
        if reference:
            try:
                value = around.config.get_value(ConfigKey(kind, reference.get("name", "")), reference.get("key", ""))
            except MissingConfigError:
                if reference.get("optional"):
                    return None
                raise
            return value.decode(errors="replace")
    pod = f"{namespace_of(around.pod)}/{name_of(around.pod)}"
    raise FieldError(f"variable {variable['name']} of pod {pod} has a source this node does not know: {sorted(origin)}")
