"""Reading `status.conditions`."""

from typing import Any

from towpath.kube.objects import Object, find_path


def find_condition(obj: Object, name: str) -> dict[str, Any] | None:
    """The condition of that type, if the object has it."""
    for condition in find_path(obj, "status", "conditions") or []:
        if isinstance(condition, dict) and condition.get("type") == name:
            return condition
    return None


def is_true(obj: Object, name: str) -> bool:
    """Whether the condition is there and True."""
    condition = find_condition(obj, name)
    return condition is not None and condition.get("status") == "True"


def condition_text(condition: dict[str, Any] | None) -> str:
    """`Reason: message`, or whichever of both there is."""
    parts = ((condition or {}).get("reason"), (condition or {}).get("message"))
    return ": ".join(str(part) for part in parts if part)
