"""Field paths and sets of them, and their wire form `FieldsV1`.

A path is a tuple of elements as FieldsV1 spells them: `f:spec` a field or key, `k:{"name":"x"}` an item of a keyed
list, `v:"x"` an item of a set, `i:0` an index (never written by us). A set holds a path only if it was put there:
owning `spec.replicas` does not mean owning `spec`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import orjson

from towpath.kube.errors import BadRequestError
from towpath.kube.typed import Type, encode, format_element

FieldPath: TypeAlias = tuple[str, ...]

_KINDS = frozenset("fkvi")


class FieldsError(BadRequestError):
    """A `fieldsV1` document that is not one."""


def encode_fields(paths: Iterable[FieldPath]) -> dict[str, Any]:
    """The FieldsV1 document of a set; `.` marks a path that is itself a member and has members below."""
    root: dict[str, Any] = {}
    for path in sorted(paths):
        node = root
        for element in path:
            below = node.get(element)
            if below is None:
                below = node[element] = {}
            elif not below:  # it was put there as a member, and is about to get members below
                below["."] = {}
            node = below
    return root


def decode_fields(document: Any) -> set[FieldPath]:
    """The set of a FieldsV1 document. Elements of unknown kinds are dropped. Raises FieldsError."""
    found: set[FieldPath] = set()
    if not isinstance(document, dict):
        raise FieldsError(f"managed fields: expected an object, got {type(document).__name__}")
    _decode(document, (), found)
    return found


def _decode(node: dict[str, Any], prefix: FieldPath, found: set[FieldPath]) -> None:
    for key, below in node.items():
        if key == "." or key[:1] not in _KINDS:
            continue
        path = (*prefix, _element(key))
        if below and not isinstance(below, dict):
            raise FieldsError(f"managed fields: expected an object below {path}, got {type(below).__name__}")
        if not below or "." in below:
            found.add(path)
        if below:
            _decode(below, path, found)


def _element(text: str) -> str:
    """An element with its JSON in our canonical spelling (others may escape or order it differently)."""
    if text[1:2] != ":":
        raise FieldsError(f"managed fields: missing colon in {text!r}")
    if text[0] in "fi":
        return text
    try:
        return text[:2] + encode(orjson.loads(text[2:]))
    except orjson.JSONDecodeError as error:
        raise FieldsError(f"managed fields: cannot read {text!r}") from error


def format_path(path: FieldPath) -> str:
    """A path for a person, as upstream writes it: `.spec.containers[name="sensor"].image`."""
    return "".join(format_element(element) for element in path)


def with_named_parents(paths: Iterable[FieldPath], root: Type) -> set[FieldPath]:
    """The set with every declared field on the way to a member made a member too.

    Items of lists and keys of maps are not added: whether they are members is what ownership is about.
    """
    found = set(paths)
    types: dict[FieldPath, Type | None] = {(): root}
    for path in list(found):
        for length in range(1, len(path)):
            prefix = path[:length]
            if prefix in types:
                continue
            types[prefix], declared = _step(types[prefix[:-1]], prefix[-1])
            if declared:
                found.add(prefix)
    return found


def _step(kind: Type | None, element: str) -> tuple[Type | None, bool]:
    """The type an element leads to, and whether the element is a declared field."""
    if kind is None:
        return None, False
    if element[0] == "f" and kind.map is not None:
        field = kind.map.find_field(element[2:])
        return (field, True) if field is not None else (kind.map.element, False)
    if element[0] == "k" and kind.list is not None:
        return kind.list.element, False
    return None, False


def without_below(paths: set[FieldPath], prefixes: Mapping[FieldPath, object] | frozenset[FieldPath]) -> set[FieldPath]:
    """The set without these paths and all below them."""
    if not prefixes:
        return paths
    lengths = sorted({len(prefix) for prefix in prefixes})
    return {path for path in paths if not any(path[:length] in prefixes for length in lengths)}
