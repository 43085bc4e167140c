"""Taking owned paths out of a value. What becomes empty by it becomes null, as upstream."""

from collections.abc import Iterable
from typing import Any

from towpath.kube.apply.paths import FieldPath
from towpath.kube.typed import ANYTHING, ListType, MapType, Shape, Type


class _Node:
    """A trie of paths. A node is a member if a path ends there."""

    __slots__ = ("below", "member")

    def __init__(self) -> None:
        self.member = False
        self.below: dict[str, _Node] = {}


def remove(root: Type, value: Any, paths: Iterable[FieldPath]) -> Any:
    """The value without these items and fields. Does not change the argument."""
    trie = _Node()
    for path in paths:
        node = trie
        for element in path:
            node = node.below.setdefault(element, _Node())
        node.member = True
    return _remove(root, value, trie) if trie.below else value


def _remove(kind: Type, value: Any, node: _Node) -> Any:
    shape = kind.shape_of(value)
    if shape is Shape.SCALAR:
        return value
    if isinstance(value, dict) and kind.map is not None and not kind.map.atomic:
        return _remove_from_map(kind.map, value, node) or None
    if isinstance(value, list) and kind.list is not None and not kind.list.atomic:
        return _remove_from_list(kind.list, value, node) or None
    return None  # paths below an atomic value: it is taken out whole


def _remove_from_map(kind: MapType, value: dict[str, Any], node: _Node) -> dict[str, Any]:
    out = {}
    for key, item in value.items():
        below = node.below.get("f:" + key)
        if below is None:
            out[key] = item
        elif not below.member:
            out[key] = _remove(kind.find_type(key) or ANYTHING, item, below)
    return out


def _remove_from_list(kind: ListType, value: list[Any], node: _Node) -> list[Any]:
    out = []
    for item in value:
        below = node.below.get(kind.path_element(item))
        if below is None:
            out.append(item)
        elif not below.member:
            out.append(_remove(kind.element, item, below))
    return out
