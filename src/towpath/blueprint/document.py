"""A YAML document that remembers where everything stands, and collects every problem instead of raising the first.

Works on PyYAML's node graph, which keeps line numbers, the literal text of scalars and duplicate keys; values are
taken from it by typed readers that report what they got and what they expected. Knows no key of the blueprint.
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

import yaml

from towpath.errors import UserError

# 256 KiB: a thousand services; anything larger is not a blueprint.
LARGEST_BYTES = 256 * 1024

_KINDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "null": "nothing",
    "seq": "a list",
    "map": "a mapping",
    "timestamp": "a date",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where (line 0 means the file as a whole), what, and what helps."""

    file: str
    line: int
    path: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        what = f"{self.path}: {self.message}" if self.path else self.message
        return f"{where}: {what}; {self.hint}" if self.hint else f"{where}: {what}"


class BlueprintError(UserError):
    """The blueprint is wrong; `problems` has everything that is, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.file, problem.line)))
        count = len(self.problems)
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(
            f"the blueprint is not valid (Invalid): {count} problem{'s' * (count != 1)}\n{lines}",
            hint="correct it and push again; until then, what runs keeps running",
        )


class Document:
    """One file's problems."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def report(self, node: yaml.Node | None, path: str, message: str, *, hint: str = "") -> None:
        """Note a problem at a node."""
        line = node.start_mark.line + 1 if node is not None else 0
        self.problems.append(Problem(self.file, line, path, message, hint))

    def open(self, text: str) -> "Entries":
        """The document's root; an empty document is an empty mapping.

        Raises:
            BlueprintError: the text is not YAML at all, so that nothing else can be said about it.
        """
        if len(text) > LARGEST_BYTES:
            limit = f"got {len(text)} characters, at most {LARGEST_BYTES}"
            raise BlueprintError([Problem(self.file, 0, "", f"is too large: {limit}")])
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark else 0
            message = f"not YAML: {error.problem or error.context}"
            raise BlueprintError([Problem(self.file, line, "", message)]) from error
        except (yaml.YAMLError, RecursionError) as error:
            raise BlueprintError([Problem(self.file, 0, "", f"not YAML: {error}")]) from error
        return Entries(self, root, "")


class Entries:
    """A mapping in a document, and its path; a missing one is empty."""

    def __init__(
        self, document: Document, node: yaml.Node | None, path: str, name_node: yaml.Node | None = None
    ) -> None:
        self.document = document
        self.path = path
        self.name_node = name_node
        self._inner: dict[str, Entries] = {}
        self.entries: dict[str, yaml.Node] = {}
        self.keys: dict[str, yaml.Node] = {}
        if node is None or is_nothing(node):
            return
        if not isinstance(node, yaml.MappingNode):
            document.report(node, path, f"got {kind_of(node)}, expected a mapping")
            return
        for key, value in node.value:
            self._add(key, value)

    def _add(self, key: yaml.Node, value: yaml.Node) -> None:
        if not isinstance(key, yaml.ScalarNode):
            self.document.report(key, self.path, f"got {kind_of(key)} as a key, expected text")
        elif key.value in self.entries:
            first = self.keys[key.value].start_mark.line + 1
            self.document.report(key, self.at(key.value), f"the key is given twice, first on line {first}")
        else:
            self.entries[key.value] = value
            self.keys[key.value] = key

    def at(self, key: str) -> str:
        """The path of a key."""
        return f"{self.path}.{key}" if self.path else key

    def report(self, key: str, message: str, *, hint: str = "") -> None:
        """Note a problem at a key."""
        self.document.report(self.keys.get(key), self.at(key), message, hint=hint)

    def refuse_unknown(self, known: Iterable[str]) -> None:
        """Report every key that is not one of `known`."""
        known = list(known)
        for key in self.entries:
            if key not in known:
                self.report(key, "unknown key", hint=did_you_mean(key, known))

    def mapping(self, key: str) -> "Entries":
        """The mapping under a key; empty when it is absent or null."""
        if key not in self._inner:  # made once, so that its form is judged and reported once
            self._inner[key] = Entries(self.document, self.entries.get(key), self.at(key), self.keys.get(key))
        return self._inner[key]

    def scalar(self, key: str, tags: set[str], expected: str) -> str | None:
        """The literal text of a scalar whose type is one of `tags`; None when absent, or when reported as wrong."""
        node = self.entries.get(key)
        if node is None or is_nothing(node):
            return None
        if isinstance(node, yaml.ScalarNode) and tag_of(node) in tags:
            return str(node.value)
        shown = f" ({node.value})" if isinstance(node, yaml.ScalarNode) and node.value else ""
        hint = "put it in quotes" if tags == {"str"} and isinstance(node, yaml.ScalarNode) else ""
        self.report(key, f"got {kind_of(node)}{shown}, expected {expected}", hint=hint)
        return None

    def text(self, key: str, default: str) -> str:
        """Text under a key; a number is not text."""
        value = self.scalar(key, {"str"}, "text")
        if value == "":
            self.report(key, "got empty text")
        return value or default

    def integer(self, key: str, default: int, *, lowest: int, highest: int) -> int:
        """A whole number within bounds."""
        expected = f"a whole number from {lowest} to {highest}"
        value = self.scalar(key, {"int"}, expected)
        if value is None:
            return default
        if not value.isdigit() or not lowest <= int(value) <= highest:
            self.report(key, f"got {value}, expected {expected}")
            return default
        return int(value)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; a number counts as the text it is written as."""
        node = self.entries.get(key)
        if node is None or is_nothing(node):
            return ()
        if not isinstance(node, yaml.SequenceNode):
            self.report(key, f"got {kind_of(node)}, expected a list of texts", hint='write ["python3", "main.py"]')
            return ()
        items = []
        for index, item in enumerate(node.value):
            if isinstance(item, yaml.ScalarNode) and tag_of(item) in {"str", "int", "float"}:
                items.append(item.value)
            else:
                self.document.report(item, f"{self.at(key)}[{index}]", f"got {kind_of(item)}, expected text")
        return tuple(items)

    def pairs(self, key: str) -> dict[str, str]:
        """A mapping of texts; a number counts as the text it is written as, true and null must be quoted."""
        inner = self.mapping(key)
        pairs = {}
        for name, node in inner.entries.items():
            if isinstance(node, yaml.ScalarNode) and tag_of(node) in {"str", "int", "float"}:
                pairs[name] = node.value
            else:
                hint = "put it in quotes" if isinstance(node, yaml.ScalarNode) else ""
                inner.report(name, f"got {kind_of(node)}, expected text", hint=hint)
        return pairs


def tag_of(node: yaml.Node) -> str:
    """The short name of a node's type: `str`, `int`, `map`."""
    return str(node.tag).rpartition(":")[2]


def kind_of(node: yaml.Node) -> str:
    """A node's type, for a person."""
    return _KINDS.get(tag_of(node), f"a value of type {node.tag}")


def is_nothing(node: yaml.Node) -> bool:
    """Whether a node is null or an empty value."""
    return isinstance(node, yaml.ScalarNode) and tag_of(node) == "null"


def is_false(node: yaml.Node) -> bool:
    """Whether a node is the boolean false."""
    return isinstance(node, yaml.ScalarNode) and tag_of(node) == "bool" and node.value.lower() in {"false", "no", "off"}


def did_you_mean(got: str, known: Iterable[str]) -> str:
    """A hint that names the nearest of the known words, or all of them when none is near."""
    known = list(known)
    near = difflib.get_close_matches(got, known, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"known: {', '.join(known)}" if known else ""
