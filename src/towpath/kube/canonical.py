"""Objects as the API server stores them: what decoding into Go's structs and encoding again does to a document.

Unknown and null fields and empty collections vanish (an empty struct such as `emptyDir: {}` stays: it says something),
and so do zeros where a field cannot tell zero from absent. Quantities take their canonical form and times lose
fractions. Values that do not fit their type are left alone; `problems` reports them.
"""

import re
from datetime import UTC, datetime
from typing import Any

from towpath.kube.quantity import QuantityError, canonical_quantity
from towpath.kube.typed import QUANTITY, MapType, Scalar, Type

_MICRO_TIME = "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime"
_STORED_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def canonical_value(kind: Type, value: Any) -> Any:
    """A deep copy of a value in the form it is stored in."""
    if isinstance(value, dict):
        return value if kind.map is None or kind.map.free else _canonical_map(kind.map, value)
    if isinstance(value, list):
        if kind.list is None:
            return value
        element = kind.list.element
        return [canonical_value(element, item) for item in value]
    if kind.name == QUANTITY:
        return _canonical_quantity(value)
    if kind.schema.get("format") == "date-time" and isinstance(value, str) and kind.name != _MICRO_TIME:
        return canonical_time(value)
    return value


def _canonical_map(kind: MapType, value: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, item in value.items():
        field = kind.find_type(key)
        if field is None:
            continue
        if item is None:
            # Of a struct a null field is absent; as an item of a map it is the zero of the items' type.
            if key not in kind.properties and (zero := _zero(field)) is not None:
                out[key] = zero
            continue
        stored = canonical_value(field, item)
        if stored or key in kind.required or not (key in kind.omitted or _is_collection(field, stored)):
            out[key] = stored
    return out


def _zero(kind: Type) -> Any:
    if kind.name == QUANTITY:
        return "0"
    return "" if kind.scalar is Scalar.STRING else None


def _is_collection(kind: Type, value: Any) -> bool:
    """Whether an empty value would be omitted: a list, or a map without declared fields."""
    if isinstance(value, list):
        return True
    return isinstance(value, dict) and kind.map is not None and not kind.map.properties and not kind.map.free


def _canonical_quantity(value: Any) -> Any:
    if value is None or isinstance(value, bool | dict | list):
        return value
    try:
        return canonical_quantity(value)
    except QuantityError:
        return value


def canonical_time(text: str) -> str:
    """A time in whole seconds, UTC: `2006-01-02T15:04:05Z`. What is no time is returned as it is."""
    if _STORED_TIME.fullmatch(text):
        return text
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment.tzinfo else text
