"""JSON Patch (RFC 6902): add, remove, replace, move, copy, test.

A failing `test` or a path that is not there refuses the whole patch with 422, as the API server does; a malformed
operation is 400. Works in place on the document it is given.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from towpath.kube.errors import BadRequestError, InvalidError
from towpath.kube.objects import clone

MAX_OPERATIONS = 10_000  # upstream's limit
_REJECTED = "the server rejected our request due to an error in our request"


def json_patch(document: Any, operations: Sequence[Any]) -> Any:
    """Apply the operations in order; the result may be another object than `document`.

    Raises BadRequestError for a malformed operation, InvalidError for one that does not apply.
    """
    if len(operations) > MAX_OPERATIONS:
        raise BadRequestError(
            f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(operations)}"
        )
    for operation in operations:
        if not isinstance(operation, dict):
            raise BadRequestError("error decoding patch: an operation must be an object")
        document = _apply(document, operation)
    return document


def _apply(document: Any, operation: Mapping[str, Any]) -> Any:
    path = _pointer(operation, "path")
    match operation.get("op"):
        case "add":
            return _add(document, path, clone(_value(operation)))
        case "remove":
            _remove(document, path)
            return document
        case "replace":
            value = clone(_value(operation))
            if not path:
                return value
            # Upstream replaces a field that is not there too, against the RFC; in lists there must be an item.
            if isinstance(_find(document, path[:-1]), list):
                _find(document, path)
                _remove(document, path)
            return _add(document, path, value)
        case "move":
            source = _pointer(operation, "from")
            if path[: len(source)] == source and path != source:
                raise _failure(path, "cannot move a value into itself")
            value = _find(document, source)
            _remove(document, source)
            return _add(document, path, value)
        case "copy":
            return _add(document, path, clone(_find(document, _pointer(operation, "from"))))
        case "test":
            return _test(document, path, operation.get("value"))
    raise BadRequestError(f"error decoding patch: unexpected kind: {operation.get('op')!r}")


def _pointer(operation: Mapping[str, Any], name: str) -> list[str]:
    text = operation.get(name)
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise BadRequestError(f"error decoding patch: {name} {text!r} is not a JSON pointer")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _value(operation: Mapping[str, Any]) -> Any:
    if "value" not in operation:
        raise BadRequestError(f"error decoding patch: operation {operation.get('op')!r} needs a value")
    return operation["value"]


def _failure(path: Sequence[str], reason: str) -> InvalidError:
    return InvalidError(f"{_REJECTED}: /{'/'.join(path)}: {reason}")


def _index(container: list[Any], part: str, path: Sequence[str], *, limit: int) -> int:
    if not part.isascii() or not part.isdecimal() or (len(part) > 1 and part[0] == "0"):
        raise _failure(path, f"{part!r} is not a list index")
    index = int(part) if len(part) < 10 else limit
    if index >= limit:
        raise _failure(path, f"index {part} is out of range, the list has {len(container)}")
    return index


def _find(document: Any, path: Sequence[str]) -> Any:
    for part in path:
        if isinstance(document, dict):
            if part not in document:
                raise _failure(path, f"there is no field {part!r}")
            document = document[part]
        elif isinstance(document, list):
            document = document[_index(document, part, path, limit=len(document))]
        else:
            raise _failure(path, f"nothing can be below {part!r}")
    return document


def _add(document: Any, path: Sequence[str], value: Any) -> Any:
    if not path:
        return value
    container = _find(document, path[:-1])
    part = path[-1]
    if isinstance(container, dict):
        container[part] = value
    elif isinstance(container, list):
        end = len(container)
        container.insert(end if part == "-" else _index(container, part, path, limit=end + 1), value)
    else:
        raise _failure(path, "the parent is neither an object nor a list")
    return document


def _remove(document: Any, path: Sequence[str]) -> None:
    if not path:
        raise _failure(path, "the whole document cannot be removed")
    _find(document, path)
    container = _find(document, path[:-1])
    if isinstance(container, list):
        del container[int(path[-1])]
    else:
        del container[path[-1]]


def _test(document: Any, path: Sequence[str], expected: Any) -> Any:
    try:
        actual = _find(document, path)
    except InvalidError:
        if expected is None:  # absent equals null, as upstream
            return document
        raise
    if actual != expected or isinstance(actual, bool) != isinstance(expected, bool):
        raise _failure(path, "testing path failed: the value is another one")
    return document
