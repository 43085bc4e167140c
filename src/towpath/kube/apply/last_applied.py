"""The way from client-side to server-side apply for kubectl users.

An object that `kubectl apply` wrote has its configuration in an annotation. Its first `kubectl apply --server-side` may
take over, without force, what that annotation says and the live object still has; and while the annotation is there,
server-side applies by the manager `kubectl` keep it current, so that the way back stays open.
"""

from collections.abc import Iterable
from typing import Any

import orjson

from towpath.kube.apply.compare import compare
from towpath.kube.apply.conflicts import FieldConflict
from towpath.kube.apply.fieldset import fieldset
from towpath.kube.objects import Object, annotations_of
from towpath.kube.typed import Type, TypedError

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_MAX_ANNOTATIONS = 256 * 1024  # bytes; upstream's total limit: a larger annotation is dropped instead


def without_last_applied(
    root: Type, live: Object | None, manager: str, conflicts: Iterable[FieldConflict]
) -> list[FieldConflict]:
    """The conflicts that remain when fields that client-side apply wrote, and nobody changed since, are given up."""
    found = list(conflicts)
    text = annotations_of(live or {}).get(LAST_APPLIED)
    if manager != "kubectl" or not text or live is None:
        return found
    try:
        applied = orjson.loads(text)
        if not isinstance(applied, dict) or applied.get("apiVersion") != live.get("apiVersion"):
            return found
        comparison = compare(root, applied, live)
        allowed = fieldset(root, applied) - comparison.modified - comparison.added - comparison.removed
    except (orjson.JSONDecodeError, TypedError):
        return found
    return [conflict for conflict in found if conflict.path not in allowed]


def with_last_applied(obj: Object, config: Object) -> Object:
    """The object with its annotation, if it has one, set to the configuration just applied."""
    annotations = annotations_of(obj)
    if not annotations.get(LAST_APPLIED):
        return obj
    metadata: dict[str, Any] = dict(config.get("metadata", {}))
    if isinstance(metadata.get("annotations"), dict):
        metadata["annotations"] = {key: text for key, text in metadata["annotations"].items() if key != LAST_APPLIED}
    text = orjson.dumps({**config, "metadata": metadata}, option=orjson.OPT_SORT_KEYS).decode() + "\n"
    others = {key: value for key, value in annotations.items() if key != LAST_APPLIED}
    size = sum(len(key.encode()) + len(value.encode()) for key, value in others.items())
    kept = {**others, LAST_APPLIED: text} if size + len(text.encode()) <= _MAX_ANNOTATIONS else others
    return {**obj, "metadata": {**obj["metadata"], "annotations": kept}}
