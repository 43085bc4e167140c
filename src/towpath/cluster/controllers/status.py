"""The fields of a workload's status.

Counts of zero are left out, as upstream's `omitempty` does; `kept` names the few that upstream always writes.
"""

from typing import Any


def prepare_status(fields: dict[str, Any], *, kept: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields that are worth writing: no zeros, no empty lists, no None."""
    return {name: value for name, value in fields.items() if value or name in kept}
