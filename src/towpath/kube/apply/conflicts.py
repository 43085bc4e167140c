"""The refusal of an apply that would change fields others own, in upstream's words.

Clients (kubectl, Helm, ourselves) read the causes: reason `FieldManagerConflict`, the manager in the message, the path
in `field`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from towpath.kube.apply.managers import ManagerKey
from towpath.kube.apply.paths import FieldPath, format_path
from towpath.kube.errors import ApiConflictError


@dataclass(frozen=True, slots=True)
class FieldConflict:
    """One field another manager owns and the configuration would change."""

    key: ManagerKey
    path: FieldPath

    @property
    def manager(self) -> str:
        """The other manager as messages name it: `"kubectl-edit" using apps/v1`."""
        text = f'"{self.key.manager}"'
        if self.key.subresource:
            text += f' with subresource "{self.key.subresource}"'
        return f"{text} using {self.key.api_version}" if self.key.operation == "Update" else text


def conflict_error(conflicts: Iterable[FieldConflict]) -> ApiConflictError:
    """The 409 that lists every manager and path."""
    found = sorted(conflicts, key=lambda conflict: (conflict.key.identifier, conflict.path))
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f"conflict with {conflict.manager}",
            "field": format_path(conflict.path),
        }
        for conflict in found
    ]
    if len(found) == 1:
        only = found[0]
        text = f"Apply failed with 1 conflict: conflict with {only.manager}: {format_path(only.path)}"
        return ApiConflictError(text, causes=causes)
    lines: list[str] = []
    previous: ManagerKey | None = None
    for conflict in found:
        if conflict.key != previous:
            lines.append(f"conflicts with {conflict.manager}:")
            previous = conflict.key
        lines.append(f"- {format_path(conflict.path)}")
    return ApiConflictError(f"Apply failed with {len(found)} conflicts: " + "\n".join(lines), causes=causes)
