"""Who wrote a field: ownership read from `metadata.managedFields`.

Paths are written as `diff` writes them: `spec.template.spec.containers[name=sensor].image`, `metadata.labels.app`,
`data[app.yaml]`. When nobody owns the field itself, the owner of the closest field above it is meant: a list or map
that merges as a whole has one owner for all of it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from towpath.kube.apply.managers import ManagerEntry, ManagerKey, decode_managed
from towpath.kube.apply.paths import FieldPath, FieldsError
from towpath.kube.objects import Object

_PART = re.compile(r"\[(?P<item>(?:[^\[\]\"]|\"[^\"]*\")*)\]|(?P<field>[^.\[\]]+)")


@dataclass(frozen=True, slots=True)
class Owner:
    """One manager of a field. `time` is RFC 3339, or empty; of its last change to any of its fields."""

    manager: str
    operation: str
    time: str
    subresource: str


def find_owners(obj: Object, path: str) -> list[Owner]:
    """The managers that own a field, latest first. Empty if nobody does or ownership is not tracked."""
    try:
        managed = decode_managed(obj)
    except FieldsError:
        return []
    wanted = parse_field_path(path)
    for length in range(len(wanted), 0, -1):
        found = [(key, entry) for key, entry in managed.items() if _owns(entry, wanted[:length])]
        if found:
            found.sort(key=lambda item: item[1].time, reverse=True)
            return [_owner(key, entry) for key, entry in found]
    return []


def parse_field_path(path: str) -> tuple[str, ...]:
    """The parts of a path: `spec`, `[name=sensor]`, `image`. A bracket without `=` is a field with dots in its name."""
    parts = []
    for match in _PART.finditer(path):
        item = match["item"]
        if item is None:
            parts.append(match["field"])
        else:
            parts.append(f"[{item}]" if "=" in item or item.isdecimal() else item)
    return tuple(parts)


def _owns(entry: ManagerEntry, wanted: Sequence[str]) -> bool:
    return any(len(path) == len(wanted) and _matches(path, wanted) for path in entry.paths)


def _matches(path: FieldPath, wanted: Sequence[str]) -> bool:
    for element, part in zip(path, wanted, strict=True):
        if part.startswith("["):
            if not _matches_item(element, part[1:-1]):
                return False
        elif element != f"f:{part}":
            return False
    return True


def _matches_item(element: str, wanted: str) -> bool:
    """Whether an element names an item by these keys: `name=sensor`, `port=80,protocol=TCP`, or `=value` of a set."""
    pairs = dict(pair.partition("=")[::2] for pair in wanted.replace('"', "").split(","))
    if element[0] == "v":
        return "" in pairs and str(orjson.loads(element[2:])) == pairs[""]
    if element[0] != "k":
        return False
    keys = orjson.loads(element[2:])
    return all(name in keys and str(keys[name]) == value for name, value in pairs.items())


def _owner(key: ManagerKey, entry: ManagerEntry) -> Owner:
    return Owner(key.manager, key.operation, entry.time, key.subresource)
