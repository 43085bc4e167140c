"""From the states of containers to `status`: phase, conditions, addresses (pure).

The rules and words are the kubelet's. What other writers put into the conditions is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from towpath.aio.clock import format_rfc3339
from towpath.cluster.node.pod.state import ContainerState, Running, Terminated
from towpath.kube.objects import Object, find_path

OWN_CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")


@dataclass(frozen=True, slots=True, kw_only=True)
class PodFacts:
    """What is known of a pod apart from its containers."""

    host_ip: str
    pod_ip: str = ""
    started_at: float = 0.0
    networked: bool = False
    reason: str = ""
    message: str = ""
    failed: bool = False  # for a reason of the pod as a whole
    deleted: bool = False  # nothing of it is started again


def compute_status(
    pod: Object, states: Sequence[ContainerState], facts: PodFacts, *, previous: dict[str, Any], now: float
) -> dict[str, Any]:
    """The whole status of a pod.

    Args:
        pod: its specification.
        states: init containers, then containers.
        facts: addresses and times.
        previous: the status to take unchanged conditions and foreign ones from.
        now: epoch seconds, for conditions that changed.
    """
    init = [state for state in states if state.init]
    main = [state for state in states if not state.init]
    policy = "Never" if facts.deleted else restart_policy(pod)
    phase = "Failed" if facts.failed else compute_phase(policy, init=init, main=main)
    status: dict[str, Any] = {
        "phase": phase,
        "conditions": _conditions(init, main, facts, phase=phase, previous=previous, now=now),
        "hostIP": facts.host_ip,
        "hostIPs": [{"ip": facts.host_ip}],
        "startTime": format_rfc3339(facts.started_at),
        "containerStatuses": [state.status() for state in main],
        "qosClass": qos_class(pod),
    }
    if init:
        status["initContainerStatuses"] = [state.status() for state in init]
    if facts.pod_ip:
        status["podIP"] = facts.pod_ip
        status["podIPs"] = [{"ip": facts.pod_ip}]
    if facts.reason:
        status["reason"] = facts.reason
    if facts.message:
        status["message"] = facts.message
    return status


def compute_phase(policy: str, *, init: Sequence[ContainerState], main: Sequence[ContainerState]) -> str:
    """`Pending`, `Running`, `Succeeded` or `Failed`, by the restart policy that holds."""
    if policy == "Never" and any(isinstance(s.state, Terminated) and s.state.exit_code for s in init):
        return "Failed"
    ended = [state.state for state in main if isinstance(state.state, Terminated)]
    running = [state for state in main if isinstance(state.state, Running)]
    # A container waiting to be started again has run before; the pod stays Running.
    restarting = [state for state in main if state.last is not None and not isinstance(state.state, Terminated)]
    if len(ended) == len(main) and main:
        if policy == "Always":
            return "Running"
        if all(state.exit_code == 0 for state in ended):
            return "Succeeded"
        return "Failed" if policy == "Never" else "Running"
    return "Running" if running or restarting or ended else "Pending"


def restart_policy(pod: Object) -> str:
    """`Always`, `OnFailure` or `Never`."""
    return str(find_path(pod, "spec", "restartPolicy") or "Always")


def prepare_patch(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The merge patch from one status to another, by top-level field; empty when nothing changed."""
    changed = {name: value for name, value in after.items() if before.get(name) != value}
    return {**changed, **{name: None for name in before if name not in after and name in _OWN_FIELDS}}


_OWN_FIELDS = frozenset(
    {"phase", "reason", "message", "podIP", "podIPs", "hostIP", "hostIPs", "startTime", "initContainerStatuses"}
)


def qos_class(pod: Object) -> str:
    """`Guaranteed`, `Burstable` or `BestEffort`."""
    containers = [*(find_path(pod, "spec", "containers") or []), *(find_path(pod, "spec", "initContainers") or [])]
    resources = [container.get("resources") or {} for container in containers]
    if not any(entry.get("limits") or entry.get("requests") for entry in resources):
        return "BestEffort"
    for entry in resources:
        limits = entry.get("limits") or {}
        requests = {**limits, **(entry.get("requests") or {})}
        if not {"cpu", "memory"} <= set(limits) or any(requests.get(name) != limits[name] for name in limits):
            return "Burstable"
    return "Guaranteed"


def _conditions(
    init: Sequence[ContainerState],
    main: Sequence[ContainerState],
    facts: PodFacts,
    *,
    phase: str,
    previous: dict[str, Any],
    now: float,
) -> list[dict[str, Any]]:
    existing = {condition["type"]: condition for condition in previous.get("conditions") or []}
    incomplete = [s.name for s in init if not (isinstance(s.state, Terminated) and s.state.exit_code == 0)]
    unready = [state.name for state in main if not state.ready]
    completed = phase == "Succeeded"
    if incomplete and not completed:
        names = " ".join(incomplete)
        initialized = {
            "status": "False",
            "reason": "ContainersNotInitialized",
            "message": f"containers with incomplete status: [{names}]",
        }
    else:
        initialized = {"status": "True", **({"reason": "PodCompleted"} if completed else {})}
    if completed:
        ready = {"status": "False", "reason": "PodCompleted"}
    elif phase == "Failed":
        ready = {"status": "False", "reason": "PodFailed"}
    elif unready:
        ready = {
            "status": "False",
            "reason": "ContainersNotReady",
            "message": f"containers with unready status: [{' '.join(unready)}]",
        }
    else:
        ready = {"status": "True"}
    wanted = {
        "PodReadyToStartContainers": _sandbox(facts, phase),
        "Initialized": initialized,
        "Ready": ready,
        "ContainersReady": ready,
        "PodScheduled": {"status": "True"},
    }
    foreign = [condition for kind, condition in existing.items() if kind not in OWN_CONDITIONS]
    return [_keep_time(existing.get(kind), kind, says, now) for kind, says in wanted.items()] + foreign


def _sandbox(facts: PodFacts, phase: str) -> dict[str, Any]:
    """Whether the pod has a network and volumes; it gives them back at its end."""
    if phase in {"Succeeded", "Failed"}:
        return {"status": "False", "reason": "PodSandboxNotReady", "message": "pod sandbox is not ready"}
    if not facts.networked:
        return {"status": "False", "reason": "PodSandboxNotReady", "message": "no pod sandbox exists"}
    return {"status": "True"}


def _keep_time(existing: dict[str, Any] | None, kind: str, says: dict[str, Any], now: float) -> dict[str, Any]:
    changed = format_rfc3339(now)
    if existing is not None and existing.get("status") == says["status"]:
        changed = existing.get("lastTransitionTime") or changed
    return {"type": kind, "lastTransitionTime": changed, **says}
