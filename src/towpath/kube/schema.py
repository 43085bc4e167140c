"""The schema of all served kinds: which fields exist, of what type, and how lists and maps merge.

The data is one generated file (`tools/generate_schema.py`), read by the caller and passed in as bytes:
`Schema.load(files("towpath.kube").joinpath("schema.json.gz").read_bytes())`. Types are built on first use, and the
descriptions, needed by OpenAPI documents only, stay packed until asked for.

Checking against the schema is `problems`; storing as the API server would is `canonical`. What the schema does not know
(defaults, immutability, ranges) is in `defaults` and `validation`.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from towpath.errors import IntegrityError
from towpath.kube.canonical import canonical_value
from towpath.kube.objects import GVK, Object, gvk_of
from towpath.kube.problems import FieldProblem, find_problems
from towpath.kube.typed import REFERENCE, Type

_GZIP = 31  # zlib's window bits for "one gzip member"


class Schema:
    """Types by kind. Immutable as seen from outside."""

    def __init__(
        self,
        definitions: Mapping[str, Any],
        *,
        version: str = "",
        omitted: Mapping[str, Sequence[str]] | None = None,
        descriptions: bytes = b"",
    ) -> None:
        """Index the definitions.

        Args:
            definitions: OpenAPI v3 component schemas by name.
            version: of the Kubernetes they are of.
            omitted: per definition, the fields that are absent when they are zero.
            descriptions: packed texts.
        """
        self.version = version
        self.definitions = definitions
        self._omitted = omitted or {}
        self._descriptions = descriptions
        self._types: dict[str, Type] = {}
        self._names: dict[GVK, str] = {
            GVK(gvk["group"], gvk["version"], gvk["kind"]): name
            for name, definition in definitions.items()
            for gvk in definition.get("x-kubernetes-group-version-kind", ())
        }

    @classmethod
    def load(cls, data: bytes) -> "Schema":
        """From the bytes of `schema.json.gz`. Raises IntegrityError."""
        try:
            member = zlib.decompressobj(_GZIP)
            document = orjson.loads(member.decompress(data))
            return cls(
                document["definitions"],
                version=document["kubernetes"],
                omitted=document["omitted"],
                descriptions=member.unused_data,
            )
        except (zlib.error, orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise IntegrityError(
                f"schema data cannot be read (BadSchema): {error}", hint="reinstall towpath"
            ) from error

    def find_name(self, gvk: GVK) -> str | None:
        """The definition's name: `io.k8s.api.apps.v1.Deployment`."""
        return self._names.get(gvk)

    def find_type(self, gvk: GVK) -> Type | None:
        """The type of a kind, if the schema has it."""
        name = self._names.get(gvk)
        return None if name is None else self.get_type(name)

    def get_type(self, name: str) -> Type:
        """The type of a definition. Raises IntegrityError if there is none of that name."""
        found = self._types.get(name)
        if found is None:
            if name not in self.definitions:
                raise IntegrityError(f"schema has no definition {name} (BadSchema)")
            found = Type(self.definitions[name], self.get_type, name)
            if found.map is not None:
                found.map.omitted = frozenset(self._omitted.get(name, ()))
            self._types[name] = found
        return found

    def problems(self, obj: Object) -> list[FieldProblem]:
        """Unknown fields, values of the wrong type and duplicate list items, in the order of the object.

        An object of a kind that the schema does not have has no problems.
        """
        root = self.find_type(gvk_of(obj))
        return [] if root is None else find_problems(root, obj)

    def canonical(self, obj: Object) -> Object:
        """A copy as the API server stores it: no unknown fields, nulls or empty collections; quantities canonical.

        Call it on objects without ill-typed fields; what does not fit its type is kept as it is.
        """
        root = self.find_type(gvk_of(obj))
        return dict(obj) if root is None else canonical_value(root, obj)

    def descriptions(self) -> Mapping[str, Mapping[str, str]]:
        """Per definition: its own text under the empty name, and each property's. Unpacked anew at each call."""
        if not self._descriptions:
            return {}
        texts: Mapping[str, Mapping[str, str]] = orjson.loads(zlib.decompress(self._descriptions, _GZIP))
        return texts

    def closure(self, names: Iterable[str]) -> dict[str, Any]:
        """The definitions of these names and all they refer to, sorted: the components of an OpenAPI document."""
        found: dict[str, Any] = {}
        queue = list(names)
        while queue:
            name = queue.pop()
            if name not in found:
                found[name] = self.definitions[name]
                queue += _references(found[name])
        return dict(sorted(found.items()))


def _references(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [name for item in schema for name in _references(item)]
    if not isinstance(schema, dict):
        return []
    own = [schema["$ref"].removeprefix(REFERENCE)] if isinstance(schema.get("$ref"), str) else []
    return own + [name for value in schema.values() for name in _references(value)]
