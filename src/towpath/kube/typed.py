"""The types behind a schema, as structured-merge-diff sees them: scalars, lists and maps, each atomic or granular.

A `Type` may allow several shapes (an int-or-string is any scalar; free-form data is anything). Everything below a type
is built on first use from its OpenAPI schema, so loading costs nothing for kinds that are never written.

Lists are atomic unless declared `set` or `map`; maps are granular unless declared `atomic` (the reverse of each other,
as upstream). A list of type `map` names its items by their key fields.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum, StrEnum
from typing import Any, Final

import orjson

from towpath.kube.errors import BadRequestError

REFERENCE: Final = "#/components/schemas/"
QUANTITY: Final = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_RAW_EXTENSION: Final = "io.k8s.apimachinery.pkg.runtime.RawExtension"


class Absent(Enum):
    """A value that is not there; unlike None, which is an explicit null."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT


class Scalar(StrEnum):
    """What a scalar may hold."""

    STRING = "string"
    NUMERIC = "numeric"
    BOOLEAN = "boolean"
    UNTYPED = "untyped"


class Shape(Enum):
    """The three shapes a value can have."""

    MAP = "map"
    SCALAR = "scalar"
    LIST = "list"


class TypedError(BadRequestError):
    """A value does not fit its type in a way that leaves no path to name it by."""


Lookup = Callable[[str], "Type"]


class ListType:
    """A list: atomic, a set of scalars (no keys), or a map by key fields."""

    __slots__ = ("_element", "_items", "_lookup", "atomic", "keys")

    def __init__(self, schema: Mapping[str, Any], lookup: Lookup) -> None:
        self.atomic = schema.get("x-kubernetes-list-type", "atomic") == "atomic"
        self.keys: tuple[str, ...] = tuple(schema.get("x-kubernetes-list-map-keys", ()))
        self._items: Mapping[str, Any] = schema.get("items", {})
        self._lookup = lookup
        self._element: Type | None = None

    @property
    def element(self) -> "Type":
        """The type of the items."""
        if self._element is None:
            self._element = Type.of(self._items, self._lookup)
        return self._element

    def path_element(self, item: Any) -> str:
        """What names an item: `k:{"name":"sensor"}` or `v:"text"`. Raises TypedError if nothing can."""
        if not self.keys:
            if item is None or isinstance(item, dict | list):
                raise TypedError(f"a list of type set may hold scalars only, got {type(item).__name__}")
            return "v:" + encode(item)
        if not isinstance(item, dict):
            raise TypedError("associative list with keys may not have non-map elements")
        named = {key: item[key] for key in self.keys if key in item}
        if len(named) < len(self.keys):
            defaults = self.element.key_defaults(self.keys)
            named = {**{key: value for key, value in defaults.items() if key not in named}, **named}
        if not named:
            fields = ", ".join(self.keys)
            raise TypedError(f"associative list with keys has an element that omits all key fields ({fields})")
        return "k:" + encode(named)


class MapType:
    """A struct (declared fields), a map (an element type for any key), or both."""

    __slots__ = ("_additional", "_element", "_fields", "_lookup", "atomic", "free", "omitted", "properties", "required")

    def __init__(self, schema: Mapping[str, Any], lookup: Lookup) -> None:
        self.atomic = schema.get("x-kubernetes-map-type") == "atomic"
        self.properties: Mapping[str, Mapping[str, Any]] = schema.get("properties", {})
        self.required: Sequence[str] = schema.get("required", ())
        self.omitted: frozenset[str] = frozenset()  # fields that are absent when they are zero: no schema has them
        self.free = not self.properties and "additionalProperties" not in schema  # data we know nothing about
        additional = schema.get("additionalProperties", not self.properties)
        self._additional: Any = {} if additional is True else additional
        self._lookup = lookup
        self._fields: dict[str, Type] = {}
        self._element: Type | None = None

    def find_field(self, name: str) -> "Type | None":
        """The type of a declared field."""
        found = self._fields.get(name)
        if found is None and name in self.properties:
            found = self._fields[name] = Type.of(self.properties[name], self._lookup)
        return found

    @property
    def element(self) -> "Type | None":
        """The type of undeclared keys; None if there may be none."""
        if self._element is None and self._additional is not False:
            self._element = Type.of(self._additional, self._lookup)
        return self._element

    def find_type(self, name: str) -> "Type | None":
        """The type of a key, declared or not."""
        return self.find_field(name) or self.element

    def patch_strategies(self, name: str) -> tuple[str, ...]:
        """The strategic-merge strategies of a field: `merge`, `replace`, `retainKeys`."""
        text = self.properties.get(name, {}).get("x-kubernetes-patch-strategy", "")
        return tuple(text.split(",")) if text else ()

    def patch_merge_key(self, name: str) -> str:
        """The strategic-merge key of a list field, or the empty string."""
        return str(self.properties.get(name, {}).get("x-kubernetes-patch-merge-key", ""))


class Type:
    """What a value may be. `name` is the definition's, or empty for inline types; `schema` its OpenAPI text."""

    __slots__ = ("list", "map", "name", "scalar", "schema")

    def __init__(self, schema: Mapping[str, Any], lookup: Lookup, name: str = "") -> None:
        self.name = name
        self.schema = schema
        self.scalar: Scalar | None = None
        self.list: ListType | None = None
        self.map: MapType | None = None
        kind = schema.get("type", "")
        if name == _RAW_EXTENSION:
            self._allow_anything(schema, lookup)
        elif kind == "object":
            self.map = MapType(schema, lookup)
        elif kind == "array":
            self.list = ListType(schema, lookup)
        elif kind == "string":
            typed = schema.get("format", "") in {"", "byte"}
            self.scalar = Scalar.STRING if typed else Scalar.UNTYPED
        elif kind in {"integer", "number"}:
            self.scalar = Scalar.NUMERIC
        elif kind == "boolean":
            self.scalar = Scalar.BOOLEAN
        elif "oneOf" in schema:  # quantity and int-or-string
            self.scalar = Scalar.UNTYPED
        else:
            self._allow_anything(schema, lookup)

    def _allow_anything(self, schema: Mapping[str, Any], lookup: Lookup) -> None:
        """Free-form data: the shape is the value's own. Lists in it are atomic; so are maps inside a raw extension."""
        self.scalar = Scalar.UNTYPED
        self.list = ListType({}, lookup)
        atomic = {"x-kubernetes-map-type": "atomic"} if self.name == _RAW_EXTENSION else {}
        self.map = MapType({**schema, **atomic}, lookup)

    @classmethod
    def of(cls, schema: Mapping[str, Any], lookup: Lookup) -> "Type":
        """The type of a property: a reference or inline. A map type beside a reference overrides the referred one's."""
        reference = schema.get("$ref")
        if reference is None:
            return cls(schema, lookup)
        named = lookup(reference.removeprefix(REFERENCE))
        override = schema.get("x-kubernetes-map-type")
        if override is None or named.map is None:
            return named
        overridden = cls({**named.schema, "x-kubernetes-map-type": override}, lookup, named.name)
        if overridden.map is not None:
            overridden.map.omitted = named.map.omitted
        return overridden

    def shape_of(self, value: Any) -> Shape:
        """Which of the allowed shapes a value has; the first allowed one if it is null, absent or of none of them."""
        if isinstance(value, dict):
            if self.map is not None:
                return Shape.MAP
        elif isinstance(value, list):
            if self.list is not None:
                return Shape.LIST
        elif value is not None and value is not ABSENT and self.scalar is not None:
            return Shape.SCALAR
        if self.map is not None:
            return Shape.MAP
        return Shape.SCALAR if self.scalar is not None else Shape.LIST

    def key_defaults(self, keys: Sequence[str]) -> dict[str, Any]:
        """The default values of key fields, where the schema declares them."""
        properties = self.map.properties if self.map is not None else {}
        return {key: properties[key]["default"] for key in keys if "default" in properties.get(key, {})}


def _refuse_reference(name: str) -> Type:
    raise TypedError(f"free-form data refers to {name}")


ANYTHING: Final = Type({}, _refuse_reference)
"""Free-form data: what an undeclared field is taken for when it is met all the same."""


def encode(value: Any) -> str:
    """Canonical JSON of a key or set value: sorted keys, no spaces."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError as error:
        raise TypedError(f"a value cannot be a list key: {error}") from error


def format_element(element: str) -> str:
    """A path element for a person, as upstream writes it: `.spec`, `[name="main"]`, `[="x"]`, `[3]`."""
    kind, text = element[0], element[2:]
    if kind == "f":
        return f".{text}"
    if kind == "i":
        return f"[{text}]"
    value = orjson.loads(text)
    if kind == "v":
        return f"[={encode(value)}]"
    return f"[{','.join(f'{name}={encode(key)}' for name, key in sorted(value.items()))}]"
