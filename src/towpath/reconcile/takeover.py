"""Fields a person added by kubectl beside those of Git: found, and made ours so that the next apply removes them.

Server-side apply only corrects fields it owns: a variable added with `kubectl set env` would stay for ever. Owners are
recorded, so what kubectl wrote can be told from what controllers write. The rules:
 * only managers named `kubectl…`, never `kubectl-rollout` (a restart is an operation, not a change of state);
 * labels and annotations of the object itself are left: people use them to find, mark and opt out;
 * a field that anybody else owns too is left.
Pure.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from towpath.kube.apply.managers import Managed, ManagerEntry, ManagerKey, decode_managed, encode_managed
from towpath.kube.apply.paths import FieldPath, FieldsError
from towpath.kube.diff import MASK, FieldChange
from towpath.kube.objects import Object, gvk_of, metadata_of
from towpath.reconcile.marks import FIELD_MANAGER

_PERSON = "kubectl"
_NOT_A_CHANGE = "kubectl-rollout"
_LEFT = ("f:metadata", "f:status")
_RESTARTED_AT = "f:kubectl.kubernetes.io/restartedAt"


def find_additions(live: Object, desired: Object) -> list[FieldChange]:
    """What people added to `live` and Git does not have, outermost fields only; Secret data masked."""
    managed = _managed(live)
    if managed is None:
        return []
    owned_by_others = {
        path
        for key, entry in managed.items()
        if not _is_person(key) and key.manager != FIELD_MANAGER
        for path in entry.paths
    }
    found: list[FieldPath] = []
    for path in sorted(_moved(managed), key=len):
        is_inside = any(path[: len(outer)] == outer for outer in found)
        if not is_inside and path not in owned_by_others and _has(live, path) and not _has(desired, path):
            found.append(path)
    secret = live.get("kind") == "Secret"
    return [FieldChange(_format(path), MASK if secret else _value(live, path), None) for path in found]


def take_over(live: Object) -> list[dict[str, Any]]:
    """The managedFields of `live` with what people own (but for labels and annotations) credited to us."""
    managed = _managed(live) or {}
    moved = _moved(managed)
    version = gvk_of(live).api_version
    own = ManagerKey(FIELD_MANAGER, "Apply", "", "")
    result: Managed = {}
    for key, entry in managed.items():
        kept = entry.paths - moved if _is_person(key) else entry.paths
        if kept:
            result[key] = ManagerEntry(entry.api_version, kept, entry.time)
    before = result.get(own, ManagerEntry(version, frozenset()))
    result[own] = ManagerEntry(before.api_version, before.paths | moved, before.time)
    return encode_managed(result)


def _managed(live: Object) -> Managed | None:
    entries = metadata_of(live).get("managedFields") or []
    # Decoding costs more than all else in a plan, and nearly no object was touched by a person.
    if not any(str(entry.get("manager", "")).startswith(_PERSON) for entry in entries):
        return None
    try:
        return decode_managed(live)
    except FieldsError:
        return None


def _is_person(key: ManagerKey) -> bool:
    return key.manager.startswith(_PERSON) and key.manager != _NOT_A_CHANGE and key.subresource != "status"


def _moved(managed: Managed) -> set[FieldPath]:
    paths: Iterator[FieldPath] = (path for key, entry in managed.items() if _is_person(key) for path in entry.paths)
    return {path for path in paths if path[0] not in _LEFT and _RESTARTED_AT not in path}


def _has(obj: Object, path: FieldPath) -> bool:
    try:
        _value(obj, path)
    except LookupError:
        return False
    return True


def _value(obj: Any, path: FieldPath) -> Any:
    value = obj
    for element in path:
        value = _step(value, element)
    return value


def _step(value: Any, element: str) -> Any:
    sort, _, rest = element.partition(":")
    if sort == "f" and isinstance(value, dict):
        return value[rest]
    if sort == "i" and isinstance(value, list):
        return value[int(rest)]
    if sort in {"k", "v"} and isinstance(value, list):
        return _find_item(value, json.loads(rest), is_keyed=sort == "k")
    raise LookupError(element)


def _find_item(items: Iterable[Any], wanted: Any, *, is_keyed: bool) -> Any:
    for item in items:
        if not is_keyed and item == wanted:
            return item
        # A key the manifest leaves out (a port's protocol) has its default, which the server has filled in.
        if (
            is_keyed
            and isinstance(item, dict)
            and all(item.get(name, value) == value for name, value in wanted.items())
        ):
            return item
    raise LookupError(wanted)


def _format(path: FieldPath) -> str:
    parts = ""
    for element in path:
        sort, _, rest = element.partition(":")
        if sort == "f":
            parts += f"[{rest}]" if "." in rest or "/" in rest else f".{rest}"
        elif sort == "k":
            parts += f"[{','.join(f'{name}={value}' for name, value in json.loads(rest).items())}]"
        else:
            parts += f"[{'=' if sort == 'v' else ''}{rest}]"
    return parts.removeprefix(".")
