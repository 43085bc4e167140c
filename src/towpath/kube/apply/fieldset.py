"""The set of fields a value mentions: what a manager owns after applying it.

Leaves are members; so are keys of maps, items of keyed lists and sets, nulls and empty maps. Declared fields that hold
something are not, and an empty granular list is not either (upstream's quirk, kept).
"""

from typing import Any

from towpath.kube.apply.paths import FieldPath
from towpath.kube.typed import ANYTHING, ListType, MapType, Shape, Type


def fieldset(root: Type, value: Any) -> set[FieldPath]:
    """The paths of a value. Raises TypedError if a list item cannot be named."""
    found: set[FieldPath] = set()
    _collect(root, value, (), found)
    found.discard(())
    return found


def _collect(kind: Type, value: Any, path: FieldPath, found: set[FieldPath]) -> None:
    shape = kind.shape_of(value)
    if shape is Shape.MAP and kind.map is not None:
        if kind.map.atomic:
            found.add(path)
        elif isinstance(value, dict):
            _collect_map(kind.map, value, path, found)
    elif shape is Shape.LIST and kind.list is not None:
        if kind.list.atomic:
            found.add(path)
        elif isinstance(value, list):
            _collect_list(kind.list, value, path, found)
    else:
        found.add(path)


def _collect_map(kind: MapType, value: dict[str, Any], path: FieldPath, found: set[FieldPath]) -> None:
    for key, item in value.items():
        below = (*path, "f:" + key)
        declared = kind.find_field(key)
        _collect(declared or kind.element or ANYTHING, item, below, found)
        if declared is None or item is None or item == {}:
            found.add(below)


def _collect_list(kind: ListType, value: list[Any], path: FieldPath, found: set[FieldPath]) -> None:
    elements = [kind.path_element(item) for item in value]
    repeated = {element for element in elements if elements.count(element) > 1} if len(elements) > 1 else set()
    for element, item in zip(elements, value, strict=True):
        below = (*path, element)
        found.add(below)
        if element not in repeated:  # of duplicates, only the name can be owned
            _collect(kind.element, item, below, found)
