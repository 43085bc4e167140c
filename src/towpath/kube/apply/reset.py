"""Fields that a write cannot touch: status through the main resource, spec through `/status`.

Such fields are restored from the live object and never enter a manager's set. Fields every object has by itself (name,
uid, resourceVersion and the like) are stripped from sets too: nobody owns them.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from towpath.kube.apply.paths import FieldPath
from towpath.kube.objects import GVK, Object, gvk_of
from towpath.kube.resources import find_resource

STRIPPED: Final[frozenset[FieldPath]] = frozenset(
    {
        ("f:apiVersion",),
        ("f:kind",),
        ("f:metadata",),
        *(
            ("f:metadata", f"f:{name}")
            for name in (
                "name",
                "namespace",
                "creationTimestamp",
                "selfLink",
                "uid",
                "clusterName",
                "generation",
                "managedFields",
                "resourceVersion",
            )
        ),
    }
)

_SPEC: Final[FieldPath] = ("f:spec",)
_STATUS: Final[FieldPath] = ("f:status",)

# What `/status` may not change besides the spec.
_STATUS_EXTRA: Final[Mapping[str, frozenset[FieldPath]]] = MappingProxyType(
    {
        "Deployment": frozenset({("f:metadata", "f:labels")}),
        "Pod": frozenset({("f:metadata", "f:deletionTimestamp"), ("f:metadata", "f:ownerReferences")}),
    }
)


def reset_fields(gvk: GVK, subresource: str) -> frozenset[FieldPath]:
    """The paths a write through this (sub)resource cannot touch."""
    resource = find_resource(gvk)
    if resource is None or "status" not in resource.subresources:
        return frozenset()
    if subresource == "status":
        return frozenset({_SPEC}) | _STATUS_EXTRA.get(gvk.kind, frozenset())
    return frozenset({_STATUS})


def restore_reset_fields(obj: Object, live: Object | None, subresource: str = "") -> Object:
    """A shallow copy of `obj` with untouchable fields as in `live` (absent there: absent). Share nothing you mutate."""
    out = dict(obj)
    for path in reset_fields(gvk_of(obj), subresource):
        _restore(out, live or {}, tuple(element[2:] for element in path))
    return out


def _restore(out: dict[str, Any], live: Mapping[str, Any], path: tuple[str, ...]) -> None:
    head, *rest = path
    if rest:
        below = dict(out.get(head) or {})
        _restore(below, live.get(head) or {}, tuple(rest))
        out[head] = below
    elif head in live:
        out[head] = live[head]
    else:
        out.pop(head, None)
