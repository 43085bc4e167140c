"""What a write returns, and the copy every write begins with."""

from dataclasses import dataclass, field
from typing import Any

from towpath.kube.errors import BadRequestError
from towpath.kube.objects import Object

MAX_DEPTH = 128  # no served kind comes near; the walks over objects are recursive


@dataclass(frozen=True, slots=True)
class Written:
    """The object as stored (after a dry run: as it would be), and what the writer should be told."""

    object: Object
    warnings: list[str] = field(default_factory=list)
    created: bool = False
    removed: bool = False  # the write ended the object's life; `object` is its last state


def copy_of(value: Any, path: str = "", depth: int = 0) -> Any:
    """A JSON value of the kernel's own. What its nulls mean, its type says: see `kube.canonical`.

    Raises:
        BadRequestError: it is not JSON, or is nested past all reason.
    """
    if depth > MAX_DEPTH:
        raise BadRequestError(f"{path[:64]}…: nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        copied = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise BadRequestError(f"{path or 'object'}: field names must be strings, got {key!r}")
            copied[key] = copy_of(item, f"{path}.{key}" if path else key, depth + 1)
        return copied
    if isinstance(value, list | tuple):
        return [copy_of(item, path, depth + 1) for item in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise BadRequestError(f"{path}: {type(value).__name__} is not a JSON type")
