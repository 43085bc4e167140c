"""Label and field selectors, in the text form of queries and in the object form of specs.

A selector that cannot be parsed raises BadRequestError with upstream's opening words ("unable to parse requirement").
Field selectors take any dotted path (a superset of upstream's per-kind lists); `metadata.name` and `status.phase` are
the ones clients send.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from towpath.kube.errors import BadRequestError
from towpath.kube.objects import Object

_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_KEY = re.compile(rf"(?:(?P<prefix>[a-z0-9](?:[-a-z0-9.]{{0,251}}[a-z0-9])?)/)?(?P<name>{_NAME})")
_VALUE = re.compile(rf"(?:{_NAME})?")
_SET = re.compile(r"(?P<key>\S+)\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)")
_EQUAL = re.compile(r"(?P<key>[^=!\s]+)\s*(?P<operator>==|=|!=)\s*(?P<value>[^=!\s]*)")
_BOUND = re.compile(r"(?P<key>[^<>\s]+)\s*(?P<operator>[<>])\s*(?P<value>-?\d+)")
_SPLIT = re.compile(r",(?![^(]*\))")  # commas inside a parenthesis separate values, not requirements


class Operator(StrEnum):
    """How a requirement compares."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"
    GREATER = "Gt"
    LESS = "Lt"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether labels meet it. An absent label meets NotIn and DoesNotExist."""
        value = labels.get(self.key)
        match self.operator:
            case Operator.IN:
                return value is not None and value in self.values
            case Operator.NOT_IN:
                return value is None or value not in self.values
            case Operator.EXISTS:
                return value is not None
            case Operator.DOES_NOT_EXIST:
                return value is None
        if value is None or not re.fullmatch(r"-?\d+", value):
            return False
        bound = int(next(iter(self.values)))
        return int(value) > bound if self.operator is Operator.GREATER else int(value) < bound


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """A conjunction of requirements. The empty selector matches everything; `nothing` matches nothing."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False

    @classmethod
    def parse(cls, text: str) -> "LabelSelector":
        """From a query: `app=sensor,tier in (a,b),!legacy`. Raises BadRequestError."""
        parts = [part.strip() for part in _SPLIT.split(text)] if text.strip() else []
        return cls(tuple(_parse_requirement(part, text) for part in parts))

    @classmethod
    def of(cls, selector: Mapping[str, Any] | None) -> "LabelSelector":
        """From a spec's `matchLabels` and `matchExpressions`; None selects nothing, `{}` everything.

        Raises BadRequestError for an unknown operator.
        """
        if selector is None:
            return cls(nothing=True)
        requirements = [
            Requirement(key, Operator.IN, frozenset({value}))
            for key, value in (selector.get("matchLabels") or {}).items()
        ]
        for expression in selector.get("matchExpressions") or []:
            operator = expression.get("operator", "")
            if operator not in {"In", "NotIn", "Exists", "DoesNotExist"}:
                raise BadRequestError(f'"{operator}" is not a valid label selector operator')
            values = frozenset(expression.get("values") or [])
            requirements.append(Requirement(expression.get("key", ""), Operator(operator), values))
        return cls(tuple(requirements))

    @classmethod
    def of_labels(cls, labels: Mapping[str, str] | None) -> "LabelSelector":
        """From a plain map, as in a Service's selector; None or an empty map selects nothing."""
        return cls.of({"matchLabels": labels}) if labels else cls(nothing=True)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels is selected."""
        return not self.nothing and all(requirement.matches(labels) for requirement in self.requirements)


def _parse_requirement(part: str, text: str) -> Requirement:
    if match := _SET.fullmatch(part):
        values = frozenset(value.strip() for value in match["values"].split(","))
        operator = Operator.IN if match["operator"] == "in" else Operator.NOT_IN
        return _checked(Requirement(match["key"], operator, values), text)
    if match := _EQUAL.fullmatch(part):
        operator = Operator.NOT_IN if match["operator"] == "!=" else Operator.IN
        return _checked(Requirement(match["key"], operator, frozenset({match["value"]})), text)
    if match := _BOUND.fullmatch(part):
        operator = Operator.GREATER if match["operator"] == ">" else Operator.LESS
        return _checked(Requirement(match["key"], operator, frozenset({match["value"]})), text)
    if part.startswith("!"):
        return _checked(Requirement(part[1:].strip(), Operator.DOES_NOT_EXIST), text)
    return _checked(Requirement(part, Operator.EXISTS), text)


def _checked(requirement: Requirement, text: str) -> Requirement:
    if not _KEY.fullmatch(requirement.key):
        raise BadRequestError(f"unable to parse requirement: invalid label key {requirement.key!r} in {text!r}")
    bad = [value for value in requirement.values if not _VALUE.fullmatch(value)]
    if bad and requirement.operator in {Operator.IN, Operator.NOT_IN}:
        raise BadRequestError(f"unable to parse requirement: invalid label value {bad[0]!r} in {text!r}")
    return requirement


@dataclass(frozen=True, slots=True)
class FieldRequirement:
    """One condition on one field, by its dotted path."""

    path: tuple[str, ...]
    value: str
    equal: bool


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """A conjunction of conditions on fields."""

    requirements: tuple[FieldRequirement, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "FieldSelector":
        """From a query: `metadata.name=sensor-0,status.phase!=Running`. Raises BadRequestError."""
        requirements: list[FieldRequirement] = []
        for part in filter(None, (part.strip() for part in text.split(","))):
            for operator in ("!=", "==", "="):
                path, found, value = part.partition(operator)
                if found:
                    requirements.append(
                        FieldRequirement(tuple(path.strip().split(".")), value.strip(), operator != "!=")
                    )
                    break
            else:
                raise BadRequestError(f"invalid selector: '{text}'; can't understand '{part}'")
        return cls(tuple(requirements))

    def matches(self, obj: Object) -> bool:
        """Whether the object is selected. An absent field is the empty string."""
        return all((_text(obj, item.path) == item.value) is item.equal for item in self.requirements)


def _text(obj: Object, path: Sequence[str]) -> str:
    value: Any = obj
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
