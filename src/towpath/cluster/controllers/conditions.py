"""Conditions as the workload kinds carry them in `status.conditions`.

A transition time moves only when the status of the condition changes; a condition whose status and reason are the same
is left as it is, so that a controller which looks again writes nothing.
"""

from dataclasses import dataclass
from typing import Any

from towpath.aio.clock import format_rfc3339


@dataclass(frozen=True, slots=True)
class Condition:
    """What a controller wants a condition to say. `status` is "True", "False" or "Unknown"."""

    type: str
    status: str
    reason: str
    message: str


def find_condition(conditions: list[dict[str, Any]], condition_type: str) -> dict[str, Any] | None:
    """The condition of that type, or None."""
    return next((one for one in conditions if one.get("type") == condition_type), None)


def is_true(conditions: list[dict[str, Any]], condition_type: str) -> bool:
    """Whether the condition of that type exists and is "True"."""
    condition = find_condition(conditions, condition_type)
    return condition is not None and condition.get("status") == "True"


def set_condition(
    conditions: list[dict[str, Any]], wanted: Condition, *, now: float, stamp_updates: bool = False, renew: bool = False
) -> list[dict[str, Any]]:
    """The list with `wanted` in it.

    Args:
        conditions: the present list; it is not changed.
        wanted: what the condition should say.
        now: wall time in epoch seconds.
        stamp_updates: also keep `lastUpdateTime`, as Deployments do.
        renew: write message and `lastUpdateTime` even if status and reason are the same.
    """
    present = find_condition(conditions, wanted.type)
    same_status = present is not None and present.get("status") == wanted.status
    if present is not None and same_status and present.get("reason") == wanted.reason and not renew:
        return conditions
    time = format_rfc3339(now)
    condition = {
        "type": wanted.type,
        "status": wanted.status,
        **({"lastUpdateTime": time} if stamp_updates else {}),
        "lastTransitionTime": present.get("lastTransitionTime", time) if present is not None and same_status else time,
        "reason": wanted.reason,
        "message": wanted.message,
    }
    if present is None:
        return [*conditions, condition]
    return [condition if one is present else one for one in conditions]


def remove_condition(conditions: list[dict[str, Any]], condition_type: str) -> list[dict[str, Any]]:
    """The list without the condition of that type."""
    return [one for one in conditions if one.get("type") != condition_type]
