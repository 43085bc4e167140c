"""JSON Merge Patch (RFC 7396): maps merge, null removes, everything else replaces."""

from typing import Any


def merge_patch(document: Any, patch: Any) -> Any:
    """The merged value. May reuse parts of both arguments."""
    if not isinstance(patch, dict):
        return patch
    out: dict[str, Any] = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = merge_patch(out.get(key), value)
    return out
