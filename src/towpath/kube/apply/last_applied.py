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


def is_covered_by_last_applied(
    root: Type, live: Object | None, manager: str, conflicts: Iterable[FieldConflict]
) -> bool:
    """Whether every conflict is about a field that client-side apply wrote and nobody changed since."""
    text = annotations_of(live or {}).get(LAST_APPLIED)
    if manager != "kubectl" or not text or live is None:
        return False
    try:
        applied = orjson.loads(text)
        if not isinstance(applied, dict) or applied.get("apiVersion") != live.get("apiVersion"):
            return False
        comparison = compare(root, applied, live)
        allowed = fieldset(root, applied) - comparison.modified - comparison.added - comparison.removed
    except (orjson.JSONDecodeError, TypedError):
        return False
    return all(conflict.path in allowed for conflict in conflicts)


def with_last_applied(obj: Object, config: Object) -> Object:
    """The object with its annotation, if it has one, set to the configuration just applied."""
    annotations = annotations_of(obj)
    if not annotations.get(LAST_APPLIED):
        return obj
    own = {key: value for key, value in annotations_of(config).items() if key != LAST_APPLIED}
    metadata: dict[str, Any] = {**config.get("metadata", {}), "annotations": own}
    if not own:
        del metadata["annotations"]
    text = orjson.dumps({**config, "metadata": metadata}, option=orjson.OPT_SORT_KEYS).decode() + "\n"
    others = {key: value for key, value in annotations.items() if key != LAST_APPLIED}
    size = sum(len(key.encode()) + len(value.encode()) for key, value in others.items())
    kept = {**others, LAST_APPLIED: text} if size + len(text.encode()) <= _MAX_ANNOTATIONS else others
    return {**obj, "metadata": {**obj["metadata"], "annotations": kept}}
