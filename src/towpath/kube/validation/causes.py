"""Collecting breaches of rules, in the words of upstream's `field.Error`."""

from collections.abc import Iterable
from typing import Any, TypeAlias

import orjson

Cause: TypeAlias = dict[str, str]

_SHOWN = 200  # characters of a value in a message: enough to recognise it, short enough for a terminal


class Causes:
    """The breaches found so far. `field` is a path like `spec.containers[0].image`."""

    def __init__(self) -> None:
        self.found: list[Cause] = []

    def add(self, field: str, reason: str, message: str) -> None:
        """Record one breach."""
        self.found.append({"reason": reason, "message": message, "field": field})

    def required(self, field: str, detail: str = "") -> None:
        """The field must be set."""
        self.add(field, "FieldValueRequired", f"Required value: {detail}" if detail else "Required value")

    def invalid(self, field: str, value: Any, detail: str) -> None:
        """The value breaks a rule."""
        self.add(field, "FieldValueInvalid", f"Invalid value: {shown(value)}: {detail}")

    def duplicate(self, field: str, value: Any) -> None:
        """The value is taken by a sibling."""
        self.add(field, "FieldValueDuplicate", f"Duplicate value: {shown(value)}")

    def forbidden(self, field: str, detail: str) -> None:
        """The field may not be set or changed."""
        self.add(field, "FieldValueForbidden", f"Forbidden: {detail}")

    def not_found(self, field: str, value: Any) -> None:
        """The value names nothing."""
        self.add(field, "FieldValueNotFound", f"Not found: {shown(value)}")

    def too_long(self, field: str, limit: int) -> None:
        """The value is larger than `limit` bytes."""
        self.add(field, "FieldValueTooLong", f"Too long: may not be more than {limit} bytes")

    def one_of(self, field: str, value: Any, allowed: Iterable[str]) -> None:
        """Record a breach unless the value is one of those allowed."""
        choices = list(allowed)
        if value not in choices:
            listed = ", ".join(f'"{choice}"' for choice in choices)
            message = f"Unsupported value: {shown(value)}: supported values: {listed}"
            self.add(field, "FieldValueNotSupported", message)

    def check(self, field: str, value: Any, faults: Iterable[str]) -> None:
        """Record each fault of a value."""
        for fault in faults:
            self.invalid(field, value, fault)

    def at_least(self, field: str, value: Any, minimum: int = 0) -> None:
        """Record a breach if a number that is set is below the minimum."""
        if isinstance(value, int) and value < minimum:
            self.invalid(field, value, f"must be greater than or equal to {minimum}")


def shown(value: Any) -> str:
    """A value in a message: JSON, cut."""
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
