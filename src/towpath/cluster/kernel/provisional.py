"""The smallest defaults, validation, patch and apply that controllers can be built on while `kube` grows its own."""
# ruff: noqa: ARG001

from typing import Any, cast

from towpath.kube.errors import BadRequestError
from towpath.kube.objects import Object
from towpath.kube.requests import Patch, PatchType


def set_defaults(obj: Object) -> None:
    """Nothing."""


def validate(obj: Object, *, old: Object | None) -> list[dict[str, str]]:
    """Nothing."""
    return []


def unsupported(obj: Object) -> list[str]:
    """Nothing."""
    return []


def merge(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def apply_patch(schema: Any, obj: Object, patch: Patch) -> Object:
    """Merge patches only."""
    if patch.type is PatchType.JSON:
        raise BadRequestError("JSON patches are not supported")
    return cast("Object", merge(obj, patch.body))
