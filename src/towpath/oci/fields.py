"""Reading untrusted JSON field by field, so that one pass finds every problem and names each by its path.

A reader never raises for a wrong value: it notes the problem and returns an empty one; the caller raises once, at the
end.
"""

from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from towpath.errors import UserError

# 20: more problems than anyone mends at once, few enough to read.
SHOWN_PROBLEMS = 20
T = TypeVar("T")
_WORDS: dict[type, str] = {
    str: "a text",
    int: "an integer",
    list: "a list",
    dict: "an object",
    bool: "true or false",
    type(None): "null",
}


class InvalidDocumentError(UserError):
    """A manifest, an index or an image configuration that breaks its schema. `problems` are `path: what`."""

    def __init__(self, what: str, problems: list[str]) -> None:
        self.problems = problems
        shown = problems[:SHOWN_PROBLEMS]
        rest = f"; and {len(problems) - len(shown)} more" if len(problems) > len(shown) else ""
        super().__init__(f"{what} is invalid (Schema): {'; '.join(shown)}{rest}")


@dataclass(slots=True)
class Fields:
    """One JSON object being read; `path` is where it stands in the document."""

    value: dict[str, Any]
    path: str
    problems: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, value: Any, path: str, problems: list[str]) -> Self:
        """Read `value` as an object; anything else is a problem and reads as an empty one."""
        if not isinstance(value, dict):
            problems.append(f"{path or 'document'}: expected an object, got {name_of(value)}")
            value = {}
        return cls(value, path, problems)

    def at(self, name: str) -> str:
        """The path of a field."""
        return f"{self.path}.{name}" if self.path else name

    def note(self, name: str, problem: str) -> None:
        """Record a problem of a field."""
        self.problems.append(f"{self.at(name)}: {problem}")

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self.value.get(name) is not None

    def text(self, name: str, *, required: bool = False) -> str:
        """A text, or `""`."""
        return self._read(name, str, "", required=required)

    def integer(self, name: str, *, required: bool = False) -> int:
        """An integer (true and false are none), or 0."""
        if isinstance(self.value.get(name), bool):
            self.note(name, "expected an integer, got true or false")
            return 0
        return self._read(name, int, 0, required=required)

    def flag(self, name: str) -> bool:
        """A boolean, or False."""
        return self._read(name, bool, False, required=False)

    def items(self, name: str, *, required: bool = False) -> list[Any]:
        """A list, or an empty one."""
        empty: list[Any] = []
        return self._read(name, list, empty, required=required)

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts, or an empty one."""
        found = self.items(name)
        for index, item in enumerate(found):
            if not isinstance(item, str):
                self.note(f"{name}[{index}]", f"expected a text, got {name_of(item)}")
        return tuple(item for item in found if isinstance(item, str))

    def mapping(self, name: str) -> dict[str, Any]:
        """An object, or an empty one."""
        empty: dict[str, Any] = {}
        return self._read(name, dict, empty, required=False)

    def text_mapping(self, name: str) -> dict[str, str]:
        """An object whose values are texts, or an empty one."""
        found = self.mapping(name)
        for key, item in found.items():
            if not isinstance(item, str):
                self.note(f"{name}[{key}]", f"expected a text, got {name_of(item)}")
        return {key: item for key, item in found.items() if isinstance(item, str)}

    def child(self, name: str) -> "Fields":
        """An object read field by field."""
        return Fields(self.mapping(name), self.at(name), self.problems)

    def _read(self, name: str, kind: type[T], empty: T, *, required: bool) -> T:
        value = self.value.get(name)
        if value is None:
            if required:
                self.note(name, "is missing")
            return empty
        if not isinstance(value, kind):
            self.note(name, f"expected {_WORDS[kind]}, got {name_of(value)}")
            return empty
        return value


def name_of(value: Any) -> str:
    """The kind of a JSON value in words."""
    return _WORDS.get(type(value), "a number")
