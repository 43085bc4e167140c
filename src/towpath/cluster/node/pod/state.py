"""What the agent knows of one container, and how that reads in `containerStatuses` (pure)."""

from dataclasses import dataclass, field
from typing import Any

from towpath.aio.clock import format_rfc3339
from towpath.kube.objects import Object


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not running yet, or not again yet, and why."""

    reason: str = "ContainerCreating"
    message: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    """Running since `started_at` (epoch seconds)."""

    started_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminated:
    """Ended. Times in epoch seconds; 0 for unknown, or for a start that never was."""

    exit_code: int
    reason: str
    message: str = ""
    started_at: float = 0.0
    finished_at: float = 0.0
    container_id: str = ""


State = Waiting | Running | Terminated


@dataclass(slots=True, kw_only=True)
class ContainerState:
    """One container, over all its runs. Mutated by its runner only."""

    name: str
    image: str
    init: bool = False
    state: State = field(default_factory=Waiting)
    last: Terminated | None = None
    restart_count: int = 0
    ready: bool = False
    started: bool = False
    image_id: str = ""
    container_id: str = ""

    def status(self) -> dict[str, Any]:
        """The entry of `containerStatuses`."""
        return {
            "name": self.name,
            "image": self.image,
            "imageID": self.image_id,
            **({"containerID": self.container_id} if self.container_id else {}),
            "restartCount": self.restart_count,
            "ready": self.ready,
            "started": self.started,
            "state": format_state(self.state),
            "lastState": format_state(self.last) if self.last is not None else {},
        }


def format_state(state: State) -> dict[str, Any]:
    """One of the three forms of a container state."""
    if isinstance(state, Waiting):
        return {"waiting": {"reason": state.reason, **({"message": state.message} if state.message else {})}}
    if isinstance(state, Running):
        return {"running": {"startedAt": format_rfc3339(state.started_at)}}
    terminated: dict[str, Any] = {"exitCode": state.exit_code, "reason": state.reason}
    if state.message:
        terminated["message"] = state.message
    if state.started_at or state.reason == "StartError":
        terminated["startedAt"] = format_rfc3339(state.started_at)
    if state.finished_at:
        terminated["finishedAt"] = format_rfc3339(state.finished_at)
    if state.container_id:
        terminated["containerID"] = state.container_id
    return {"terminated": terminated}


def recall(container: Object, previous: dict[str, Any] | None, *, init: bool, parse_time: Any) -> ContainerState:
    """What a status written by an earlier agent says of a container whose process is gone.

    A container that had ended stays ended; one that ran is waiting to be started again with its count of restarts.

    Args:
        container: its specification.
        previous: its entry in the pod's status, if there is one.
        init: whether it is an init container.
        parse_time: RFC 3339 text to epoch seconds.
    """
    state = ContainerState(name=container["name"], image=container.get("image", ""), init=init)
    if previous is None:
        return state
    state.restart_count = int(previous.get("restartCount") or 0)
    state.image_id = previous.get("imageID") or ""
    last = (previous.get("lastState") or {}).get("terminated")
    state.last = _parse_terminated(last, parse_time) if last else None
    ended = (previous.get("state") or {}).get("terminated")
    if ended:
        state.state = _parse_terminated(ended, parse_time)
        state.container_id = previous.get("containerID") or ""
        state.ready = bool(init and state.state.exit_code == 0)
    return state


def was_running(previous: dict[str, Any] | None) -> bool:
    """Whether a container's status says that it runs."""
    return bool(previous and (previous.get("state") or {}).get("running"))


def lost(started_at: float = 0.0) -> Terminated:
    """The end of a container whose process went with an earlier agent; upstream's words."""
    return Terminated(
        exit_code=137,
        reason="ContainerStatusUnknown",
        message="The container could not be located when the pod was terminated",
        started_at=started_at,
    )


def _parse_terminated(terminated: dict[str, Any], parse_time: Any) -> Terminated:
    return Terminated(
        exit_code=int(terminated.get("exitCode") or 0),
        reason=terminated.get("reason") or "",
        message=terminated.get("message") or "",
        started_at=parse_time(terminated["startedAt"]) if terminated.get("startedAt") else 0.0,
        finished_at=parse_time(terminated["finishedAt"]) if terminated.get("finishedAt") else 0.0,
        container_id=terminated.get("containerID") or "",
    )
