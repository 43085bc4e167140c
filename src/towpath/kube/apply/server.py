"""The two operations on ownership: `apply` for configurations, `track_update` for every other write.

Apply, step by step:

1. Check the configuration: no managedFields, every field known, no duplicate items.
2. Merge it over the live object, and take the set of its fields.
3. Prune: what this manager applied before, does not apply now, and nobody else owns, goes.
4. Compare live and result. Others' fields that would change are conflicts; with `force` they lose them.
5. Fields that disappeared leave everyone's set; managers left with nothing disappear.

Values are compared as they are spelled: `1024Mi` conflicts with another manager's `1Gi`, as upstream, though both are
stored alike.

An update owns what it changed and takes it from others in silence. Both keep times when nothing changed, so that a
repeated write is recognised as none.
"""

from collections.abc import Mapping
from typing import Any

from towpath.kube.apply.compare import Comparison, compare
from towpath.kube.apply.conflicts import FieldConflict, conflict_error
from towpath.kube.apply.fieldset import fieldset
from towpath.kube.apply.last_applied import with_last_applied, without_last_applied
from towpath.kube.apply.managers import Managed, ManagerEntry, ManagerKey, cap_updates, decode_managed, encode_managed
from towpath.kube.apply.merge import merge
from towpath.kube.apply.paths import FieldPath, FieldsError, with_named_parents, without_below
from towpath.kube.apply.remove import remove
from towpath.kube.apply.reset import STRIPPED, reset_fields, restore_reset_fields
from towpath.kube.apply.zero import zero_object
from towpath.kube.canonical import canonical_value
from towpath.kube.errors import ApiError, BadRequestError
from towpath.kube.objects import GVK, Object, gvk_of, metadata_of, name_of, namespace_of, uid_of
from towpath.kube.problems import FieldProblem, ProblemKind, find_problems
from towpath.kube.schema import Schema
from towpath.kube.typed import Type

_BEFORE_FIRST_APPLY = "before-first-apply"


def apply(
    schema: Schema,
    *,
    live: Object | None,
    config: Object,
    manager: str,
    time: str,
    force: bool = False,
    subresource: str = "",
) -> Object:
    """Apply a configuration; the result is canonical, without defaults for what is new, and the caller's own.

    `time` is RFC 3339 in whole seconds. Without `live` the object is created.

    Raises:
        ApiConflictError: other managers own fields that would change (causes of reason FieldManagerConflict).
        BadRequestError: the configuration has unknown or ill-typed fields, duplicate items, or managedFields.
    """
    gvk = gvk_of(config)
    root = _get_root(schema, gvk)
    unreadable = _check_config(root, config)
    current = _without_managed(live) if live is not None else {"apiVersion": gvk.api_version, "kind": gvk.kind}
    managed = decode_managed(live) if live is not None else {}
    reset = reset_fields(gvk, subresource)
    if not managed and live is not None:
        first = ManagerKey(_BEFORE_FIRST_APPLY, "Update", gvk.api_version, subresource)
        managed = _record(managed, compare(root, zero_object(gvk), current), first, time, reset)

    key = ManagerKey(manager or "unknown", "Apply", "", subresource)
    merged = merge(root, current, config)
    paths = without_below(fieldset(root, config), reset)
    last = managed.get(key)
    repeated = last is not None and merged == current and paths - STRIPPED == last.paths
    if repeated and manager != "kubectl":  # kubectl's annotation may need an update all the same
        return canonical_value(root, live)  # type: ignore[no-any-return]  # a map in, a map out
    managed[key] = ManagerEntry(gvk.api_version, paths)
    if last is not None and not last.paths <= paths:
        merged = _prune(root, merged, managed, last.paths)
    comparison = _without(compare(root, current, merged), reset)
    conflicts = [] if force else _find_conflicts(managed, comparison, key)
    if conflicts and (conflicts := without_last_applied(root, live, manager, conflicts)):
        raise conflict_error(conflicts)
    if unreadable:
        raise _refusal(config, unreadable)
    managed = _settle(managed, comparison, key)
    result: Object = canonical_value(root, restore_reset_fields(merged, live, subresource))
    changed = live is None or merged != current
    entry_time = time if changed else (last.time if last is not None else "")
    managed[key] = ManagerEntry(gvk.api_version, managed[key].paths - STRIPPED, entry_time)
    if not managed[key].paths:
        del managed[key]
    if manager == "kubectl":
        result = with_last_applied(result, config)
    return _with_managed(result, managed, live)


def track_update(
    schema: Schema,
    *,
    live: Object | None,
    new: Object,
    manager: str,
    time: str,
    subresource: str = "",
) -> Object:
    """The new object with managedFields that credit `manager` with what it changed.

    `new` is as it will be stored: canonical, defaulted, untouchable fields restored. Explicit managedFields in it are
    honoured (an empty list resets ownership), except through a subresource.
    """
    gvk = gvk_of(new)
    root = _get_root(schema, gvk)
    managed = _managed_of(live, new, subresource)
    bare = _without_managed(new)
    if not managed and live is not None and uid_of(live):
        return bare  # nobody tracked this object before, so its fields cannot be credited
    old = _without_managed(live) if live is not None else zero_object(gvk)
    reset = reset_fields(gvk, subresource)
    key = ManagerKey(manager or "unknown", "Update", gvk.api_version, subresource)
    managed = _record(managed, compare(root, old, bare), key, time, reset)
    return _with_managed(bare, cap_updates(managed), live)


def _get_root(schema: Schema, gvk: GVK) -> Type:
    root = schema.find_type(gvk)
    if root is None:
        raise BadRequestError(f"no kind {gvk.kind!r} is registered for version {gvk.api_version!r}")
    return root


def _check_config(root: Type, config: Object) -> list[FieldProblem]:
    """Refuse what does not fit the types; returned are the values that nobody will be able to read."""
    if metadata_of(config).get("managedFields") is not None:
        raise BadRequestError("metadata.managedFields must be nil")
    problems = find_problems(root, config, keyed=True)
    unreadable = [problem for problem in problems if problem.kind is ProblemKind.VALUE]
    if len(unreadable) < len(problems):
        raise _refusal(config, [problem for problem in problems if problem.kind is not ProblemKind.VALUE])
    return unreadable


def _refusal(config: Object, problems: list[FieldProblem]) -> ApiError:
    gvk = gvk_of(config)
    texts = [
        f".{item.path}: field not declared in schema" if item.kind is ProblemKind.UNKNOWN else f".{item.message}"
        for item in problems
    ]
    subject = f"{namespace_of(config)}/{name_of(config)}; {gvk.group}/{gvk.version}, Kind={gvk.kind}"
    listed = texts[0] if len(texts) == 1 else "errors:\n" + "\n".join(f"  {text}" for text in texts)
    # Upstream blames itself (500) for what is the configuration's fault.
    return ApiError(f"failed to create typed patch object ({subject}): {listed}")


def _managed_of(live: Object | None, new: Object, subresource: str) -> Managed:
    """The entries an update starts from: those in the request if it has any, else the live object's."""
    entries = metadata_of(new).get("managedFields")
    if not subresource:
        if entries in ([], [{}]):
            return {}
        try:
            managed = decode_managed(new)
        except FieldsError:
            managed = {}
        if managed:
            return managed
    try:
        return decode_managed(live) if live is not None else {}
    except FieldsError:
        return {}


def _record(
    managed: Managed, comparison: Comparison, key: ManagerKey, time: str, reset: frozenset[FieldPath]
) -> Managed:
    """Credit a manager with the changes, taking them from whoever owned them."""
    comparison = _without(comparison, reset)
    out = _settle(managed, comparison, None, version=key.api_version)
    paths = comparison.changed - STRIPPED
    if paths:
        previous = out.get(key)
        out[key] = ManagerEntry(key.api_version, paths | previous.paths if previous else paths, time)
    return out


def _without(comparison: Comparison, reset: frozenset[FieldPath]) -> Comparison:
    return Comparison(
        without_below(comparison.removed, reset),
        without_below(comparison.modified, reset),
        without_below(comparison.added, reset),
    )


def _find_conflicts(managed: Managed, comparison: Comparison, own: ManagerKey) -> list[FieldConflict]:
    version = managed[own].api_version
    changed = comparison.changed
    return [
        FieldConflict(key, path)
        for key, entry in managed.items()
        if key != own and entry.api_version == version
        for path in entry.paths & changed
    ]


def _settle(managed: Managed, comparison: Comparison, own: ManagerKey | None, *, version: str = "") -> Managed:
    """Take changed and removed paths from all but `own`; drop empty entries and those of versions not served."""
    version = managed[own].api_version if own is not None else version
    lost = comparison.changed | comparison.removed
    out: Managed = {}
    for key, entry in managed.items():
        if key == own:
            out[key] = entry
        elif entry.api_version == version and (paths := entry.paths - lost if lost else entry.paths):
            out[key] = ManagerEntry(entry.api_version, paths, entry.time)
    return out


def _prune(root: Type, merged: Any, managed: Mapping[ManagerKey, ManagerEntry], last: set[FieldPath] | Any) -> Any:
    """Remove what the manager applied last time and nobody owns any more."""
    owned = set().union(*(entry.paths for entry in managed.values()))
    last = with_named_parents(last, root)
    present = fieldset(root, merged)
    present_named = with_named_parents(present, root)
    left = with_named_parents(fieldset(root, remove(root, merged, last)), root)
    pruned = remove(root, merged, present_named - (left | with_named_parents(owned, root)))
    # Only what this manager itself owned may go: fields nobody owns, below an item that was removed, bring it back.
    remaining = with_named_parents(fieldset(root, pruned), root)
    return remove(root, merged, (present_named - remaining) & last)


def _without_managed(obj: Object) -> Object:
    metadata = metadata_of(obj)
    if "managedFields" not in metadata:
        return obj
    return {**obj, "metadata": {key: value for key, value in metadata.items() if key != "managedFields"}}


def _with_managed(obj: Object, managed: Managed, live: Object | None) -> Object:
    """The object with these entries. If nothing but times differs from `live`, the times stay too: it is no write."""
    metadata = {key: value for key, value in metadata_of(obj).items() if key != "managedFields"}
    if managed:
        metadata["managedFields"] = encode_managed(managed)
    out = {**obj, "metadata": metadata}
    if live is not None and out != live and _without_times(out) == _without_times(live):
        metadata["managedFields"] = metadata_of(live).get("managedFields")
    return out


def _without_times(obj: Object) -> tuple[Object, list[dict[str, Any]]]:
    entries = metadata_of(obj).get("managedFields") or []
    return _without_managed(obj), sorted(
        ({key: value for key, value in entry.items() if key != "time"} for entry in entries), key=str
    )
