"""The columns of `kubectl get` for each kind: upstream's names, order and wording. Pure.

A column takes an object and the wall time (for ages) and gives a cell. `wide` columns appear with `-o wide`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from towpath.aio.clock import parse_rfc3339
from towpath.kube.objects import Object, find_path, labels_of, metadata_of, name_of

Cell = str | int


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `type` is the OpenAPI type of its cells."""

    name: str
    cell: Callable[[Object, float], Cell]
    wide: bool = False
    type: str = "string"


def columns_of(kind: str) -> Sequence[Column]:
    """The columns of a kind; name and age for those without any of their own."""
    return _COLUMNS.get(kind, (NAME, AGE))


def format_age(timestamp: object, now: float) -> str:
    """An age as kubectl's HumanDuration: `45s`, `12m`, `3h20m`, `2d`."""
    if not isinstance(timestamp, str) or not timestamp:
        return "<unknown>"
    seconds = int(max(now - parse_rfc3339(timestamp), 0))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    if days < 365 * 2:
        return f"{days}d"
    return f"{days // 365}y{days % 365}d"


def _path(*path: str, default: Cell = "<none>") -> Callable[[Object, float], Cell]:
    def cell(obj: Object, now: float) -> Cell:
        del now
        value = find_path(obj, *path)
        return default if value is None or value == "" else value if isinstance(value, int) else str(value)

    return cell


def _name(obj: Object, now: float) -> Cell:
    del now
    return name_of(obj)


def _age(obj: Object, now: float) -> Cell:
    return format_age(metadata_of(obj).get("creationTimestamp"), now)


def _count(field: str) -> Callable[[Object, float], Cell]:
    def cell(obj: Object, now: float) -> Cell:
        del now
        return len(obj.get(field) or ())

    return cell


def _ready_of(*, ready: str, desired: tuple[str, ...]) -> Callable[[Object, float], Cell]:
    def cell(obj: Object, now: float) -> Cell:
        del now
        return f"{find_path(obj, 'status', ready) or 0}/{find_path(obj, *desired) or 0}"

    return cell


def _containers(field: str) -> Callable[[Object, float], Cell]:
    def cell(obj: Object, now: float) -> Cell:
        del now
        containers = find_path(obj, "spec", "template", "spec", "containers") or []
        return ",".join(str(container.get(field, "")) for container in containers)

    return cell


def _selector(*path: str) -> Callable[[Object, float], Cell]:
    def cell(obj: Object, now: float) -> Cell:
        del now
        found = find_path(obj, *path) or {}
        labels = found.get("matchLabels", {}) if "matchLabels" in found or "matchExpressions" in found else found
        return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "<none>"

    return cell


def _pod_statuses(obj: Object) -> list[dict[str, Any]]:
    return find_path(obj, "status", "containerStatuses") or []


def _pod_ready(obj: Object, now: float) -> Cell:
    del now
    ready = sum(bool(status.get("ready")) for status in _pod_statuses(obj))
    return f"{ready}/{len(find_path(obj, 'spec', 'containers') or [])}"


def pod_status(obj: Object, now: float) -> Cell:
    """The word of the STATUS column: the phase, or the reason that says more."""
    del now
    reason = str(find_path(obj, "status", "reason") or find_path(obj, "status", "phase") or "Unknown")
    initializing = _initializing(obj)
    if initializing:
        reason = initializing
    else:
        running = False
        for status in reversed(_pod_statuses(obj)):
            state = status.get("state") or {}
            waiting, terminated = state.get("waiting") or {}, state.get("terminated") or {}
            if waiting.get("reason"):
                reason = waiting["reason"]
            elif terminated:
                reason = terminated.get("reason") or f"ExitCode:{terminated.get('exitCode', 0)}"
            elif "running" in state and status.get("ready"):
                running = True
        if reason == "Completed" and running:
            reason = "Running"
    return "Terminating" if metadata_of(obj).get("deletionTimestamp") else reason


def _initializing(obj: Object) -> str:
    total = len(find_path(obj, "spec", "initContainers") or [])
    for index, status in enumerate(find_path(obj, "status", "initContainerStatuses") or []):
        state = status.get("state") or {}
        terminated, waiting = state.get("terminated"), state.get("waiting") or {}
        if terminated and terminated.get("exitCode") == 0:
            continue
        if terminated:
            return f"Init:{terminated.get('reason') or 'ExitCode:' + str(terminated.get('exitCode'))}"
        if waiting.get("reason") and waiting["reason"] != "PodInitializing":
            return f"Init:{waiting['reason']}"
        return f"Init:{index}/{total}"
    return ""


def _pod_restarts(obj: Object, now: float) -> Cell:
    statuses = _pod_statuses(obj)
    restarts = sum(int(status.get("restartCount") or 0) for status in statuses)
    ended = [find_path(status, "lastState", "terminated", "finishedAt") for status in statuses]
    last = max((moment for moment in ended if moment), default=None)
    return f"{restarts} ({format_age(last, now)} ago)" if restarts and last else str(restarts)


def _service_ports(obj: Object, now: float) -> Cell:
    del now
    ports = find_path(obj, "spec", "ports") or []
    return ",".join(f"{port.get('port')}/{port.get('protocol', 'TCP')}" for port in ports) or "<none>"


def _job_status(obj: Object, now: float) -> Cell:
    del now
    true = {one["type"] for one in find_path(obj, "status", "conditions") or [] if one.get("status") == "True"}
    for word in ("Complete", "Failed", "Suspended"):
        if word in true:
            return word
    return "Running"


def _job_completions(obj: Object, now: float) -> Cell:
    del now
    return f"{find_path(obj, 'status', 'succeeded') or 0}/{find_path(obj, 'spec', 'completions') or 1}"


def _job_duration(obj: Object, now: float) -> Cell:
    started, ended = find_path(obj, "status", "startTime"), find_path(obj, "status", "completionTime")
    return format_age(started, parse_rfc3339(ended) if ended else now) if started else ""


def _node_status(obj: Object, now: float) -> Cell:
    del now
    ready = [one for one in find_path(obj, "status", "conditions") or [] if one.get("type") == "Ready"]
    return "Ready" if ready and ready[0].get("status") == "True" else "NotReady"


def _endpoints(obj: Object, now: float) -> Cell:
    del now
    addresses = [address for endpoint in obj.get("endpoints") or [] for address in endpoint.get("addresses") or []]
    more = f" + {len(addresses) - 3} more..." if len(addresses) > 3 else ""
    return ",".join(addresses[:3]) + more or "<unset>"


def _event_seen(obj: Object, now: float) -> Cell:
    return format_age(obj.get("lastTimestamp") or obj.get("eventTime"), now)


def _event_object(obj: Object, now: float) -> Cell:
    del now
    involved = obj.get("involvedObject") or {}
    return f"{str(involved.get('kind', '')).lower()}/{involved.get('name', '')}"


def _role_ref(obj: Object, now: float) -> Cell:
    del now
    return f"{find_path(obj, 'roleRef', 'kind')}/{find_path(obj, 'roleRef', 'name')}"


def _node_roles(obj: Object, now: float) -> Cell:
    del now
    prefix = "node-role.kubernetes.io/"
    return ",".join(label.removeprefix(prefix) for label in labels_of(obj) if label.startswith(prefix)) or "<none>"


NAME = Column("Name", _name)
AGE = Column("Age", _age)
_IMAGES = (
    Column("Containers", _containers("name"), wide=True),
    Column("Images", _containers("image"), wide=True),
)
_SELECTOR = Column("Selector", _selector("spec", "selector"), wide=True)


def _integer(name: str, *path: str) -> Column:
    return Column(name, _path(*path, default=0), type="integer")


_COLUMNS: dict[str, tuple[Column, ...]] = {
    "Pod": (
        NAME,
        Column("Ready", _pod_ready),
        Column("Status", pod_status),
        Column("Restarts", _pod_restarts),
        AGE,
        Column("IP", _path("status", "podIP"), wide=True),
        Column("Node", _path("spec", "nodeName"), wide=True),
        Column("Nominated Node", _path("status", "nominatedNodeName"), wide=True),
        Column("Readiness Gates", _path("spec", "readinessGates"), wide=True),
    ),
    "Deployment": (
        NAME,
        Column("Ready", _ready_of(ready="readyReplicas", desired=("spec", "replicas"))),
        _integer("Up-to-date", "status", "updatedReplicas"),
        _integer("Available", "status", "availableReplicas"),
        AGE,
        *_IMAGES,
        _SELECTOR,
    ),
    "ReplicaSet": (
        NAME,
        _integer("Desired", "spec", "replicas"),
        _integer("Current", "status", "replicas"),
        _integer("Ready", "status", "readyReplicas"),
        AGE,
        *_IMAGES,
        _SELECTOR,
    ),
    "StatefulSet": (
        NAME,
        Column("Ready", _ready_of(ready="readyReplicas", desired=("spec", "replicas"))),
        AGE,
        *_IMAGES,
    ),
    "Job": (
        NAME,
        Column("Status", _job_status),
        Column("Completions", _job_completions),
        Column("Duration", _job_duration),
        AGE,
        *_IMAGES,
        _SELECTOR,
    ),
    "Service": (
        NAME,
        Column("Type", _path("spec", "type")),
        Column("Cluster-IP", _path("spec", "clusterIP")),
        Column("External-IP", _path("spec", "externalName")),
        Column("Port(s)", _service_ports),
        AGE,
        _SELECTOR,
    ),
    "EndpointSlice": (
        NAME,
        Column("AddressType", _path("addressType")),
        Column(
            "Ports", lambda obj, _now: ",".join(str(port.get("port")) for port in obj.get("ports") or []) or "<unset>"
        ),
        Column("Endpoints", _endpoints),
        AGE,
    ),
    "Namespace": (NAME, Column("Status", _path("status", "phase")), AGE),
    "Node": (
        NAME,
        Column("Status", _node_status),
        Column("Roles", _node_roles),
        AGE,
        Column("Version", _path("status", "nodeInfo", "kubeletVersion")),
        Column("OS-Image", _path("status", "nodeInfo", "osImage"), wide=True),
        Column("Kernel-Version", _path("status", "nodeInfo", "kernelVersion"), wide=True),
        Column("Container-Runtime", _path("status", "nodeInfo", "containerRuntimeVersion"), wide=True),
    ),
    "ConfigMap": (NAME, Column("Data", _count("data"), type="integer"), AGE),
    "Secret": (NAME, Column("Type", _path("type")), Column("Data", _count("data"), type="integer"), AGE),
    "ServiceAccount": (NAME, Column("Secrets", _count("secrets"), type="integer"), AGE),
    "ControllerRevision": (
        NAME,
        Column("Controller", lambda obj, _now: _controller(obj)),
        _integer("Revision", "revision"),
        AGE,
    ),
    "RoleBinding": (NAME, Column("Role", _role_ref), AGE),
    "Role": (NAME, Column("Created At", _path("metadata", "creationTimestamp"))),
    "Event": (
        Column("Last Seen", _event_seen),
        Column("Type", _path("type")),
        Column("Reason", _path("reason")),
        Column("Object", _event_object),
        Column("Source", _path("source", "component"), wide=True),
        Column("Message", _path("message")),
        Column("Count", _path("count", default=1), wide=True, type="integer"),
        Column("Name", _name, wide=True),
    ),
}


def _controller(obj: Object) -> str:
    owners = metadata_of(obj).get("ownerReferences") or []
    controller = next((owner for owner in owners if owner.get("controller")), None)
    return f"{str(controller['kind']).lower()}.apps/{controller['name']}" if controller else "<none>"
