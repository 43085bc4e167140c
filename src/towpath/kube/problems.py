"""What is wrong with an object as data: unknown fields, wrong types, duplicate items of keyed lists.

These are the faults the API server finds while decoding. Whether an unknown field is refused, warned about or dropped
is the caller's choice (`fieldValidation`); a wrong type is always refused. Rules on well-typed values are in
`validation`.
"""

import binascii
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from towpath.kube.quantity import QuantityError, parse_quantity
from towpath.kube.typed import QUANTITY, ListType, MapType, Scalar, Type, TypedError, format_element

_INT32 = 2**31
_INT64 = 2**63
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)")


class ProblemKind(StrEnum):
    """What sort of fault it is, and so what a server does about it."""

    UNKNOWN = "unknown"  # refused, warned about or dropped
    DUPLICATE = "duplicate"  # refused in an applied configuration
    TYPE = "type"  # always refused
    VALUE = "value"  # of the right type but no base64, quantity, time, …: always refused, by apply after conflicts


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One fault. `path` is like `spec.containers[0].image`; `message` is a full sentence for a person."""

    path: str
    message: str
    kind: ProblemKind = ProblemKind.TYPE


class _Found(list[FieldProblem]):
    """The problems so far. `keyed`: items of keyed lists are named by their keys, as server-side apply does."""

    def __init__(self, *, keyed: bool) -> None:
        super().__init__()
        self.keyed = keyed


def find_problems(root: Type, value: Any, *, keyed: bool = False) -> list[FieldProblem]:
    """All problems of a value, in its own order; `keyed`: with paths like `containers[name="main"].image`."""
    found = _Found(keyed=keyed)
    _check(root, value, "", found)
    return list(found)


def _check(kind: Type, value: Any, path: str, found: _Found) -> None:
    if value is None:
        return
    if isinstance(value, dict):
        if kind.map is not None:
            _check_map(kind.map, value, path, found)
            return
    elif isinstance(value, list):
        if kind.list is not None:
            _check_list(kind.list, value, path, found)
            return
    elif kind.scalar is not None:
        if message := _scalar_fault(kind, value):
            found.append(FieldProblem(path, f"{path}: {message}"))
        elif message := _value_fault(kind, value):
            found.append(FieldProblem(path, f"{path}: {message}", ProblemKind.VALUE))
        return
    found.append(FieldProblem(path, f"{path}: expected {_expected(kind)}, got {_got(value)}"))


def _check_map(kind: MapType, value: dict[str, Any], path: str, found: _Found) -> None:
    for key, item in value.items():
        below = f"{path}.{key}" if path else key
        field = kind.find_type(key)
        if field is None:
            found.append(FieldProblem(below, f'unknown field "{below}"', ProblemKind.UNKNOWN))
        else:
            _check(field, item, below, found)


def _check_list(kind: ListType, value: list[Any], path: str, found: _Found) -> None:
    seen: set[str] = set()
    element = kind.element
    for index, item in enumerate(value):
        below = f"{path}[{index}]"
        if not kind.atomic:
            try:
                name = kind.path_element(item)
            except TypedError as error:
                found.append(FieldProblem(below, f"{below}: {error.message}"))
                continue
            shown = format_element(name)
            if found.keyed:
                below = f"{path}{shown}"
            if name in seen:
                message = f"{path}: duplicate entries for key {shown}"
                found.append(FieldProblem(below, message, ProblemKind.DUPLICATE))
            seen.add(name)
        _check(element, item, below, found)


def _scalar_fault(kind: Type, value: Any) -> str:
    """How a scalar is of the wrong type, or the empty string."""
    match kind.scalar:
        case Scalar.STRING:
            return "" if isinstance(value, str) else f"expected string, got {_got(value)}"
        case Scalar.BOOLEAN:
            return "" if isinstance(value, bool) else f"expected boolean, got {_got(value)}"
        case Scalar.NUMERIC:
            type_ = kind.schema.get("type", "")
            if isinstance(value, bool) or not isinstance(value, int | float):
                return f"expected {type_}, got {_got(value)}"
            return f"expected integer, got {value}" if type_ == "integer" and not isinstance(value, int) else ""
    if isinstance(value, bool) and "oneOf" in kind.schema:
        return f"expected {_expected(kind)}, got boolean"
    return ""


def _value_fault(kind: Type, value: Any) -> str:
    """Why a scalar of the right type cannot be read, or the empty string."""
    form = kind.schema.get("format", "")
    match kind.scalar:
        case Scalar.STRING:
            return _base64_fault(value) if form == "byte" else ""
        case Scalar.NUMERIC if kind.schema.get("type") == "integer":
            limit = _INT32 if form == "int32" else _INT64
            return "" if -limit <= value < limit else f"{value} is out of range for {form or 'int64'}"
    if form == "date-time" and not (isinstance(value, str) and (not value or _TIME.fullmatch(value))):
        return f"expected a time like 2006-01-02T15:04:05Z, got {_got(value)}"
    return _quantity_fault(value) if kind.name == QUANTITY else ""


def _base64_fault(value: str) -> str:
    try:
        binascii.a2b_base64(value.replace("\n", "").replace("\r", "").encode(), strict_mode=True)
    except (ValueError, UnicodeEncodeError):
        return "illegal base64 data"
    return ""


def _quantity_fault(value: str | float) -> str:
    try:
        parse_quantity(value)
    except QuantityError as error:
        return error.message
    return ""


def _expected(kind: Type) -> str:
    if kind.name == QUANTITY:
        return "a quantity"
    allowed = [name for name, shape in (("map", kind.map), ("list", kind.list)) if shape is not None]
    if kind.scalar is Scalar.UNTYPED:
        allowed.append("string or integer" if "oneOf" in kind.schema else "string")
    elif kind.scalar is not None:
        allowed.append(kind.schema.get("type", ""))
    return " or ".join(allowed)


def _got(value: Any) -> str:
    if isinstance(value, dict):
        return "map"
    if isinstance(value, list):
        return "list"
    if isinstance(value, bool):
        return f"boolean {str(value).lower()}"
    return f"string {value[:40]!r}" if isinstance(value, str) else f"number {value}"
