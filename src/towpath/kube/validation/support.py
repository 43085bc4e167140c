"""What the embedded cluster does not do, field by field: refused if passing it over would change what the pod means or
lose data, warned about if the pod runs all the same on a cluster of one node.

The table is the documentation: one row a field, with the sentence users read.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from towpath.kube.objects import Object, gvk_of
from towpath.kube.validation.causes import Causes

Fields: TypeAlias = dict[str, Any]
Test: TypeAlias = Callable[[Any], bool]

VOLUMES = ("configMap", "downwardAPI", "emptyDir", "projected", "secret")
PROJECTIONS = ("configMap", "downwardAPI", "secret", "serviceAccountToken")
RESOURCES = ("cpu", "ephemeral-storage", "memory")


@dataclass(frozen=True, slots=True)
class Limit:
    """One field the cluster does not honour. `*` in a path stands for each item of a list."""

    path: str
    text: str
    refused: bool = False
    test: Test = bool  # whether a value asks for something: by default, whether it is there and not empty


def _is_not(*values: Any) -> Test:
    return lambda value: value is not None and value not in values


_HOST_PORT = "*.ports.*.hostPort"
_ONE_NODE = "has no effect: there is one node"
_REFUSED = True

# Below the spec of a pod or a pod template.
POD_LIMITS = (
    Limit("hostPID", "pods cannot see the processes of the host", _REFUSED),
    Limit("hostIPC", "pods cannot share memory with the host", _REFUSED),
    Limit("shareProcessNamespace", "containers of a pod cannot see each other's processes", _REFUSED),
    Limit("runtimeClassName", "there is one container runtime", _REFUSED),
    Limit("resourceClaims", "there are no devices to claim", _REFUSED),
    Limit("ephemeralContainers", "ephemeral containers are not supported", _REFUSED),
    Limit("os.name", "only Linux is supported", _REFUSED, _is_not("linux")),
    Limit("*.securityContext.privileged", "containers cannot be privileged", _REFUSED),
    Limit("*.volumeDevices", "there are no block devices", _REFUSED),
    Limit("*.resources.claims", "there are no devices to claim", _REFUSED),
    Limit("readinessGates", "pods cannot wait for conditions set by others", _REFUSED),
    Limit("schedulingGates", "pods cannot be held back from scheduling", _REFUSED),
    Limit("initContainers.*.restartPolicy", "init containers that keep running are not supported", _REFUSED),
    Limit("*.env.*.valueFrom.fileKeyRef", "variables cannot come from files of a volume", _REFUSED),
    Limit("nodeSelector", _ONE_NODE),
    Limit("affinity", _ONE_NODE),
    Limit("topologySpreadConstraints", _ONE_NODE),
    Limit("priorityClassName", "has no effect: pods have no priorities"),
    Limit("schedulerName", "has no effect: there is one scheduler", test=_is_not("default-scheduler")),
    Limit("securityContext.fsGroup", "has no effect: volumes belong to the container's user"),
    Limit("securityContext.supplementalGroups", "has no effect: processes have no further groups"),
    Limit("setHostnameAsFQDN", "has no effect: the host name is the pod's name"),
    Limit("hostUsers", "has no effect: user namespaces are the node's choice", test=_is_not()),
    Limit("activeDeadlineSeconds", "has no effect on a pod: set it on the Job", test=_is_not()),
    Limit("volumes.*.emptyDir.sizeLimit", "is not enforced"),
    Limit(_HOST_PORT, "opens no port on the host: use a Service, or hostNetwork"),
    Limit("*.volumeMounts.*.mountPropagation", "has no effect: mounts do not propagate", test=_is_not("None")),
    Limit("securityContext.sysctls", "has no effect: kernel parameters are the host's"),
    Limit("securityContext.seLinuxOptions", "has no effect: SELinux labels are not set"),
    Limit("*.securityContext.seLinuxOptions", "has no effect: SELinux labels are not set"),
    Limit("securityContext.appArmorProfile", "has no effect: AppArmor profiles are not loaded"),
    Limit("*.securityContext.appArmorProfile", "has no effect: AppArmor profiles are not loaded"),
    Limit("*.securityContext.capabilities.add", "has no effect: containers get no capabilities"),
    Limit("*.securityContext.allowPrivilegeEscalation", "has no effect: processes cannot gain privileges"),
    Limit("*.lifecycle", "has no effect: lifecycle hooks are not run"),
    Limit("*.stdin", "has no effect: containers have no standard input"),
    Limit("*.tty", "has no effect: containers have no terminal"),
    Limit("*.resizePolicy", "has no effect: a changed limit restarts the pod"),
)

# Below the spec of a Service.
SERVICE_LIMITS = (
    Limit("externalIPs", "has no effect: Services listen on the loopback interface only"),
    Limit("loadBalancerSourceRanges", "has no effect: there is no load balancer"),
    Limit(
        "type",
        "gets no address from outside: Services listen on the loopback interface only",
        test=_is_not("ClusterIP", "ExternalName"),
    ),
    Limit("sessionAffinity", "has no effect: connections go round in turn", test=_is_not("None")),
    Limit("ports.*.protocol", "has no effect: only TCP is forwarded", test=_is_not("TCP")),
)

_TEMPLATED = frozenset({"Deployment", "ReplicaSet", "StatefulSet", "Job"})


def unsupported(obj: Object) -> list[str]:
    """Warnings about fields of this object that are accepted and have no effect."""
    spec = obj.get("spec")
    kind = gvk_of(obj).kind
    if not isinstance(spec, dict):
        return []
    if kind == "Service":
        return _warnings(spec, "spec", SERVICE_LIMITS)
    if kind in _TEMPLATED:
        template = spec.get("template")
        below = template.get("spec") if isinstance(template, dict) else None
        return _warnings(below, "spec.template.spec", POD_LIMITS) if isinstance(below, dict) else []
    return _warnings(spec, "spec", POD_LIMITS) if kind == "Pod" else []


def refuse_unsupported(spec: Fields, field: str, causes: Causes) -> None:
    """Record what of a pod spec cannot be passed over."""
    for limit in POD_LIMITS:
        if limit.refused:
            for path, value in _find(spec, limit.path, field):
                if limit.test(value):
                    causes.forbidden(path, f"{limit.text} in the embedded cluster")
    for path, allowed in (("volumes.*", VOLUMES), ("volumes.*.projected.sources.*", PROJECTIONS)):
        for where, source in _find(spec, path, field):
            _check_names(where, [name for name in source if name != "name"], allowed, causes)
    for kind in ("limits", "requests"):
        for where, amounts in _find(spec, f"*.resources.{kind}", field):
            _check_names(where, amounts, RESOURCES, causes)


def _check_names(field: str, names: Iterable[str], allowed: tuple[str, ...], causes: Causes) -> None:
    for name in names:
        if name not in allowed:
            causes.one_of(f"{field}.{name}", name, allowed)


def _warnings(spec: Fields, field: str, limits: tuple[Limit, ...]) -> list[str]:
    return [
        f"{path}: {limit.text}"
        for limit in limits
        if not limit.refused and not (limit.path == _HOST_PORT and spec.get("hostNetwork"))
        for path, value in _find(spec, limit.path, field)
        if limit.test(value)
    ]


def _find(value: Any, path: str, field: str) -> Iterator[tuple[str, Any]]:
    """The values at a path, each with its full path. A leading `*` stands for all containers of a pod spec."""
    if path.startswith("*."):
        for group in ("initContainers", "containers"):
            yield from _find(value, f"{group}.{path}", field)
        return
    head, _, rest = path.partition(".")
    if head == "*":
        for index, item in enumerate(value if isinstance(value, list) else ()):
            yield from _find(item, rest, f"{field}[{index}]") if rest else iter([(f"{field}[{index}]", item)])
    elif isinstance(value, dict) and head in value:
        below = f"{field}.{head}"
        if not rest:
            yield below, value[head]
        elif rest == "*" or rest.startswith("*."):
            yield from _items(value[head], rest, below)
        else:
            yield from _find(value[head], rest, below)


def _items(items: Any, path: str, field: str) -> Iterator[tuple[str, Any]]:
    rest = path[2:]
    for index, item in enumerate(items if isinstance(items, list) else ()):
        where = f"{field}[{index}]"
        if rest:
            yield from _find(item, rest, where)
        else:
            yield where, item
