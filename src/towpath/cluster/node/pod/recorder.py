"""What happened to a pod, said to whoever records Events (`controllers.events.EventSource` is one)."""

from typing import Protocol

from towpath.kube.objects import Object, find_path


class EventSink(Protocol):
    """Records Events; never waits and never fails."""

    def normal(self, involved: Object, reason: str, message: str, *, field_path: str = "") -> None:
        """Something went as intended."""
        ...

    def warning(self, involved: Object, reason: str, message: str, *, field_path: str = "") -> None:
        """Something did not go as intended."""
        ...


def field_path(pod: Object, container: Object) -> str:
    """Where a container stands in its pod: `spec.containers{app}`."""
    name = container.get("name", "")
    init = any(entry.get("name") == name for entry in find_path(pod, "spec", "initContainers") or [])
    return f"spec.{'initContainers' if init else 'containers'}{{{name}}}"
