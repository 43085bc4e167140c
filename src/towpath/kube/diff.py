"""Field by field, how two versions of an object differ: `spec.template.spec.containers[name=sensor].image`. Pure.

Items of a list that carry names are compared by name, so that an inserted container is one change and not a shift of
all that follow. What a server keeps for itself (resourceVersion, managedFields, status …) is left out, and the data of
Secrets is masked: a diff is for people, terminals and logs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from towpath.kube.objects import Object

# The merge keys of Kubernetes' associative lists, most telling first.
LIST_KEYS = ("name", "containerPort", "port", "mountPath", "key", "type", "uid", "ip")
SERVER_METADATA = frozenset(
    {"creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid", "deletionTimestamp"}
)
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
SECRET_FIELDS = ("data", "stringData")
# What stands for a value of a Secret. Not a hash: whoever reads a diff could try passwords against one.
MASK = "<masked>"
MASKED_CHANGE = "<masked, another value>"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field. `before` is None for a field that was added, `after` for one that was removed."""

    path: str
    before: Any
    after: Any


def diff(before: Object, after: Object) -> list[FieldChange]:
    """The changed fields from `before` to `after`, in the order of the objects; `{}` stands for no object."""
    shown_before, shown_after = _visible(before), _visible(after)
    if "Secret" in (before.get("kind"), after.get("kind")):
        shown_before, shown_after = _masked(shown_before, shown_after)
    return list(_compare("", shown_before, shown_after))


def _visible(obj: Object) -> Object:
    shown = {field: value for field, value in obj.items() if field != "status"}
    metadata = shown.get("metadata")
    if isinstance(metadata, dict):
        metadata = {field: value for field, value in metadata.items() if field not in SERVER_METADATA}
        annotations = metadata.get("annotations")
        if isinstance(annotations, dict):
            metadata["annotations"] = {key: text for key, text in annotations.items() if key != LAST_APPLIED}
        shown["metadata"] = metadata
    return shown


def _masked(before: Object, after: Object) -> tuple[Object, Object]:
    """Both with masks for the values of a Secret, which tell equal from different and nothing else."""
    before, after = dict(before), dict(after)
    for field in SECRET_FIELDS:
        old, new = before.get(field), after.get(field)
        known = old if isinstance(old, dict) else {}
        if isinstance(old, dict):
            before[field] = dict.fromkeys(old, MASK)
        if isinstance(new, dict):
            after[field] = {
                key: MASK if key not in known or known[key] == value else MASKED_CHANGE for key, value in new.items()
            }
    return before, after


def _compare(path: str, before: Any, after: Any) -> Iterator[FieldChange]:
    if before == after or (_is_empty(before) and _is_empty(after)):
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for field in dict.fromkeys([*before, *after]):
            yield from _compare(_join(path, field), before.get(field), after.get(field))
    elif isinstance(before, dict | None) and isinstance(after, dict | None) and (before or after):
        yield from _compare(path, before or {}, after or {})
    elif isinstance(before, list) and isinstance(after, list):
        yield from _compare_lists(path, before, after)
    else:
        yield FieldChange(path, before, after)


def _compare_lists(path: str, before: list[Any], after: list[Any]) -> Iterator[FieldChange]:
    key = _list_key([*before, *after])
    if key is None:
        yield FieldChange(path, before, after)
        return
    old = {item[key]: item for item in before}
    new = {item[key]: item for item in after}
    if len(old) != len(before) or len(new) != len(after):  # the same name twice: not a map after all
        yield FieldChange(path, before, after)
        return
    for name in dict.fromkeys([*old, *new]):
        yield from _compare(f"{path}[{key}={name}]", old.get(name), new.get(name))


def _list_key(items: Sequence[Any]) -> str | None:
    if not items or not all(isinstance(item, dict) for item in items):
        return None
    return next((key for key in LIST_KEYS if all(isinstance(item.get(key), str | int) for item in items)), None)


def _is_empty(value: Any) -> bool:
    return value is None or value in ({}, [])


def _join(path: str, field: str) -> str:
    # A dot or slash in a label's name would read as two fields.
    part = f"[{field}]" if "." in field or "/" in field else field
    return f"{path}{part}" if part.startswith("[") or not path else f"{path}.{part}"
