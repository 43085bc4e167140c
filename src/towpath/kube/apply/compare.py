"""What changed between two values of one type, as three disjoint path sets.

Atomic values and scalars are compared whole; granular maps, keyed lists and sets by their members. A null is a value:
only absence makes a field added or removed.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from towpath.kube.apply.paths import FieldPath
from towpath.kube.typed import ABSENT, ANYTHING, ListType, MapType, Shape, Type


@dataclass(slots=True)
class Comparison:
    """Paths that the right value removed, modified or added relative to the left one."""

    removed: set[FieldPath] = field(default_factory=set)
    modified: set[FieldPath] = field(default_factory=set)
    added: set[FieldPath] = field(default_factory=set)

    @property
    def changed(self) -> set[FieldPath]:
        """What the right value says newly or differently."""
        return self.modified | self.added


def compare(root: Type, left: Any, right: Any) -> Comparison:
    """Compare two values. Raises TypedError if a list item cannot be named."""
    out = Comparison()
    _compare(root, left, right, (), out)
    for paths in (out.removed, out.modified, out.added):
        paths.discard(())
    return out


def _compare(kind: Type, left: Any, right: Any, path: FieldPath, out: Comparison) -> None:
    if left is right:
        return
    shape = kind.shape_of(left if right is ABSENT else right)
    if left is not ABSENT and right is not ABSENT:
        other = kind.shape_of(left)
        if other is not shape:  # free-form data changed its shape: what was below is gone
            _visit(kind, other, (left, right), path, out)
    if not _visit(kind, shape, (left, right), path, out):
        if left is ABSENT:
            out.added.add(path)
        elif right is ABSENT:
            out.removed.add(path)


def _visit(kind: Type, shape: Shape, values: tuple[Any, Any], path: FieldPath, out: Comparison) -> bool:
    """Compare two values as one shape; True if they were compared whole."""
    left, right = values
    if shape is Shape.MAP and kind.map is not None:
        fields = left if isinstance(left, dict) else {}, right if isinstance(right, dict) else {}
        if not kind.map.atomic and any(fields):
            _compare_maps(kind.map, *fields, path, out)
            return False
    elif shape is Shape.LIST and kind.list is not None:
        items = left if isinstance(left, list) else [], right if isinstance(right, list) else []
        if not kind.list.atomic and any(items):
            _compare_lists(kind.list, *items, path, out)
            return False
    if left is ABSENT:
        out.added.add(path)
    elif right is ABSENT:
        out.removed.add(path)
    elif not equal(left, right):
        out.modified.add(path)
    return True


def _compare_maps(kind: MapType, left: dict[str, Any], right: dict[str, Any], path: FieldPath, out: Comparison) -> None:
    for key in left.keys() | right.keys():
        one, other = left.get(key, ABSENT), right.get(key, ABSENT)
        if one is not other:
            _compare(kind.find_type(key) or ANYTHING, one, other, (*path, "f:" + key), out)


def _compare_lists(kind: ListType, left: list[Any], right: list[Any], path: FieldPath, out: Comparison) -> None:
    ones, others = _by_element(kind, left), _by_element(kind, right)
    for element in {**ones, **others}:
        one, other = ones.get(element, []), others.get(element, [])
        below = (*path, element)
        if len(one) <= 1 and len(other) <= 1:
            _compare(kind.element, one[0] if one else ABSENT, other[0] if other else ABSENT, below, out)
        elif len(one) > 1 and len(other) > 1:  # duplicates on both sides: one opaque value
            if not equal(one, other):
                out.modified.add(below)
        elif len(one) > 1:  # duplicates went away: the survivor is new, the marker is gone
            if other:
                _compare(kind.element, ABSENT, other[0], below, out)
            out.removed.add(below)
        else:  # duplicates appeared
            if one:
                _compare(kind.element, one[0], ABSENT, below, out)
            out.added.add(below)


def _by_element(kind: ListType, items: list[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for item in items:
        found[kind.path_element(item)].append(item)
    return found


def equal(left: Any, right: Any) -> bool:
    """Equality of JSON values: numbers by value, but `true` is not 1."""
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)
