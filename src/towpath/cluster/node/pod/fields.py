"""What a container may ask of its own pod: `fieldRef` and `resourceFieldRef` (the downward API; pure)."""

import re
from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any

from towpath.errors import UserError
from towpath.kube.objects import Object, annotations_of, find_path, labels_of, name_of, namespace_of, uid_of
from towpath.kube.quantity import parse_quantity

_KEYED = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")


class FieldError(UserError):
    """A reference that cannot be resolved."""


def resolve_field(pod: Object, path: str) -> str:
    """The text of a `fieldRef`. Raises FieldError for a path that the downward API does not know."""
    keyed = _KEYED.fullmatch(path)
    if keyed:
        values = labels_of(pod) if keyed[1] == "labels" else annotations_of(pod)
        return values.get(keyed[2], "")
    simple: Mapping[str, Any] = {
        "metadata.name": name_of(pod),
        "metadata.namespace": namespace_of(pod),
        "metadata.uid": uid_of(pod),
        "metadata.labels": _format_map(labels_of(pod)),
        "metadata.annotations": _format_map(annotations_of(pod)),
        "spec.nodeName": find_path(pod, "spec", "nodeName"),
        "spec.serviceAccountName": find_path(pod, "spec", "serviceAccountName"),
        "status.hostIP": find_path(pod, "status", "hostIP"),
        "status.hostIPs": find_path(pod, "status", "hostIP"),
        "status.podIP": find_path(pod, "status", "podIP"),
        "status.podIPs": find_path(pod, "status", "podIP"),
    }
    if path not in simple:
        raise FieldError(f"unsupported fieldPath: {path}")
    return str(simple[path] or "")


def resolve_resource(container: Object, reference: Mapping[str, Any], *, allocatable: Mapping[str, str]) -> str:
    """The text of a `resourceFieldRef`, in whole divisors, rounded up; an unset limit is what the node has.

    Raises:
        FieldError: a resource that is neither cpu nor memory.
    """
    side, _, resource = str(reference.get("resource", "")).partition(".")
    if side not in {"limits", "requests"} or resource not in {"cpu", "memory"}:
        raise FieldError(f"unsupported container resource: {reference.get('resource')}")
    resources = container.get("resources") or {}
    text = (resources.get(side) or {}).get(resource)
    if text is None:
        text = allocatable.get(resource, "0") if side == "limits" else "0"
    divisor = parse_quantity(str(reference.get("divisor") or "1"))
    if not divisor:
        divisor = Decimal(1)
    return str((parse_quantity(str(text)) / divisor).to_integral_value(ROUND_CEILING))


def _format_map(values: Mapping[str, str]) -> str:
    def quote(value: str) -> str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'

    return "\n".join(f"{key}={quote(value)}" for key, value in sorted(values.items()))
