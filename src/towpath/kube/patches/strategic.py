"""Strategic merge patch: a merge patch that knows how each list merges.

The schema names, per field, a strategy (`merge`, `replace`, `retainKeys`) and a merge key. Directives in the patch:

* `$patch: replace | delete` in a map, or in an item of a merged list;
* `$retainKeys: […]` drops the fields of a map that are not named (a union changes its member);
* `$deleteFromPrimitiveList/<field>: […]` takes scalars out of a merged list;
* `$setElementOrder/<field>: […]` orders a merged list; items only the server has stay near their neighbours.

Works in place on copies made by the caller. The order of items follows `strategicpatch` exactly: kubectl computes its
patches against that.
"""

from collections.abc import Sequence
from typing import Any

from towpath.kube.errors import BadRequestError, InvalidError
from towpath.kube.typed import MapType, Type

_DIRECTIVE = "$patch"
_RETAIN = "$retainKeys"
_DELETE = "$deleteFromPrimitiveList/"
_ORDER = "$setElementOrder/"


def strategic_merge_patch(original: dict[str, Any], patch: dict[str, Any], kind: MapType) -> dict[str, Any]:
    """The patched map. Consumes both arguments. Raises BadRequestError or InvalidError for a patch that is none."""
    return _merge_map(original, patch, kind)


def _merge_map(original: dict[str, Any], patch: dict[str, Any], kind: MapType | None) -> dict[str, Any]:
    if _DIRECTIVE in patch:
        directive = patch.pop(_DIRECTIVE)
        if directive == "replace":
            return patch
        if directive == "delete":
            return {}
        raise _bad_directive(directive)
    if _RETAIN in patch:
        _retain(original, patch)
    for key in [key for key in patch if key.startswith(_ORDER)]:
        _merge_ordered(original, patch, key, kind)
    for key, value in patch.items():
        if key.startswith(_DELETE):
            _delete_scalars(original, key.removeprefix(_DELETE), value)
        elif value is None:
            original.pop(key, None)
        else:
            _merge_field(original, key, value, kind)
    return original


def _merge_field(original: dict[str, Any], key: str, value: Any, kind: MapType | None) -> None:
    present = original.get(key)
    strategies = kind.patch_strategies(key) if kind is not None else ()
    below = kind.find_type(key) if kind is not None else None
    if isinstance(present, dict) and isinstance(value, dict):
        replaced = "replace" in strategies
        original[key] = value if replaced else _merge_map(present, value, below.map if below is not None else None)
    elif isinstance(present, list) and isinstance(value, list):
        merged = "merge" in strategies
        original[key] = _merge_list(present, value, kind, key) if merged else value
    else:
        _discard_nulls(value)
        kept, keep = _without_directives(value)
        if keep:
            original[key] = kept
        else:
            original.pop(key, None)


def _retain(original: dict[str, Any], patch: dict[str, Any]) -> None:
    kept = patch.pop(_RETAIN)
    if not isinstance(kept, list):
        raise BadRequestError("invalid patch format of retainKeys")
    for key, value in patch.items():
        if value is not None and not key.startswith((_DELETE, _ORDER)) and key not in kept:
            raise BadRequestError("invalid patch format of retainKeys")
    for key in [key for key in original if key not in kept]:
        del original[key]


def _delete_scalars(original: dict[str, Any], key: str, values: Any) -> None:
    if not isinstance(values, list):
        raise BadRequestError("invalid patch format of primitive list")
    if isinstance(original.get(key), list):
        original[key] = [item for item in original[key] if item not in values]


def _merge_ordered(original: dict[str, Any], patch: dict[str, Any], directive: str, kind: MapType | None) -> None:
    """Merge the list a `$setElementOrder` directive is about, and put it in that order."""
    order = patch.pop(directive)
    key = directive.removeprefix(_ORDER)
    present, changes = original.get(key), patch.get(key)
    if not isinstance(order, list) or not isinstance(present, list | None) or not isinstance(changes, list | None):
        raise BadRequestError("invalid patch format of setElementOrder list")
    merge_key = _merge_key(kind, key)
    _check_order(changes or [], order, merge_key)
    if present is None and changes is None:
        return
    patch.pop(key, None)
    server: Sequence[Any] = present or []
    if present is None:
        merged = _without_directives(changes)[0]
    elif changes is None:
        merged = present
    elif kind is not None and "merge" in kind.patch_strategies(key):
        merged = _merge_list(list(present), changes, kind, key)
        server = _reused(present, merged, merge_key)
    else:
        merged = changes
    original[key] = _ordered(merged, order, server, merge_key)


def _reused(present: Sequence[Any], merged: Sequence[Any], merge_key: str) -> Sequence[Any]:
    """The server's order as upstream sees it after deletions: new items stand in the memory of deleted ones."""
    if not merge_key:
        return present
    names = [_name(item, merge_key) for item in merged]
    kept = [item for item in present if _name(item, merge_key) in names]
    before = [_name(item, merge_key) for item in present]
    new = [item for item in merged if _name(item, merge_key) not in before]
    return [*kept, *new][: len(present)]


def _check_order(changes: Sequence[Any], order: Sequence[Any], merge_key: str) -> None:
    """Refuse a patch whose items come in another order than its own directive says."""
    wanted = [_name(item, merge_key) for item in order]
    position = 0
    for item in changes:
        if isinstance(item, dict) and _DIRECTIVE in item:
            continue
        try:
            position = wanted.index(_name(item, merge_key), position) + 1
        except ValueError:
            if wanted:
                raise BadRequestError(
                    f"The order in patch list:\n{list(changes)}\n doesn't match {_ORDER[:-1]} list:\n{list(order)}\n"
                ) from None


def _merge_list(original: list[Any], patch: list[Any], kind: MapType | None, key: str) -> list[Any]:
    if not original and not patch:
        return original
    element = _element(kind, key)
    if not any(isinstance(item, dict) for item in (*original, *patch)):
        merged = list(dict.fromkeys([*original, *patch]))
        return _ordered(merged, patch, original, "")
    merge_key = _merge_key(kind, key)
    if not merge_key:
        raise InvalidError(f"cannot merge lists without merge key for {key}")
    original, patch = _special_items(original, patch, merge_key)
    merged = list(original)
    for item in patch:
        name = _name(item, merge_key)
        for index, present in enumerate(merged):
            if present.get(merge_key) == name:
                merged[index] = _merge_map(present, item, element.map if element is not None else None)
                break
        else:
            merged.append(_without_directives(item)[0])
    return _ordered(merged, patch, original, merge_key)


def _special_items(original: list[Any], patch: list[Any], merge_key: str) -> tuple[list[Any], list[Any]]:
    """Carry out the items that are directives: delete an item, or replace the whole list by the rest of the patch."""
    plain: list[Any] = []
    replace = False
    for item in patch:
        if not isinstance(item, dict):
            raise BadRequestError(f"invalid patch: a list merged by {merge_key} may hold maps only")
        directive = item.get(_DIRECTIVE)
        if directive is None:
            plain.append(item)
        elif directive == "delete":
            name = _name(item, merge_key)
            original = [present for present in original if present.get(merge_key) != name]
        elif directive == "replace":
            replace = True
        else:
            raise _bad_directive(directive)
    return (plain, []) if replace else (original, plain)


def _ordered(merged: list[Any], order: Sequence[Any], server: Sequence[Any], merge_key: str) -> list[Any]:
    """Items of `order` in that order; the others woven in where the server's order allows."""
    wanted, places = _places(order, merge_key), _places(server, merge_key)

    def place(item: Any) -> int:
        return places.get(_key(_name(item, merge_key)), -1)

    named = [item for item in merged if _key(_name(item, merge_key)) in wanted]
    named.sort(key=lambda item: wanted[_key(_name(item, merge_key))])
    others = sorted((item for item in merged if _key(_name(item, merge_key)) not in wanted), key=place)
    out: list[Any] = []
    left = right = 0
    while left < len(others) and right < len(named):
        one, other = place(others[left]), place(named[right])
        if 0 <= one < other:
            out.append(others[left])
            left += 1
        else:
            out.append(named[right])
            right += 1
    return [*out, *named[right:], *others[left:]]


def _places(items: Sequence[Any], merge_key: str) -> dict[Any, int]:
    """Where each name stands first."""
    places: dict[Any, int] = {}
    for index, item in enumerate(items):
        places.setdefault(_key(_name(item, merge_key)), index)
    return places


def _name(item: Any, merge_key: str) -> Any:
    """What identifies an item: its merge key, or itself if it is a scalar."""
    if not merge_key:
        return item
    if not isinstance(item, dict) or merge_key not in item:
        raise InvalidError(f"map: {item} does not contain declared merge key: {merge_key}")
    return item[merge_key]


def _key(name: Any) -> Any:
    """A name as a dictionary key."""
    return name if not isinstance(name, dict | list) else str(name)


def _element(kind: MapType | None, key: str) -> Type | None:
    field = kind.find_type(key) if kind is not None else None
    return field.list.element if field is not None and field.list is not None else None


def _merge_key(kind: MapType | None, key: str) -> str:
    return kind.patch_merge_key(key) if kind is not None else ""


def _discard_nulls(value: Any) -> None:
    if isinstance(value, dict):
        for key in [key for key, item in value.items() if item is None]:
            del value[key]
        for item in value.values():
            _discard_nulls(item)
    elif isinstance(value, list):
        for item in value:
            _discard_nulls(item)


def _without_directives(value: Any) -> tuple[Any, bool]:
    """The value without items and maps that are directives, and whether anything is left."""
    if isinstance(value, dict):
        if _DIRECTIVE in value:
            return None, False
        fields = {key: item for key, item in value.items() if not key.startswith((_RETAIN, _DELETE, _ORDER))}
        pairs = ((key, _without_directives(item)) for key, item in fields.items())
        return {key: kept for key, (kept, keep) in pairs if keep}, True
    if isinstance(value, list):
        return [kept for kept, keep in map(_without_directives, value) if keep], True
    return value, True


def _bad_directive(directive: Any) -> InvalidError:
    return InvalidError(f"Unknown patch type: {directive} in map")
