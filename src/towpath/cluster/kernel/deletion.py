"""Deleting: at once, gracefully, or when the last finalizer has gone.

Rules of upstream:
 * an object with finalizers is only marked (`deletionTimestamp`) and lives until they are gone;
 * a pod bound to a node is marked with its grace period, and lives until the node agent deletes it with grace 0;
 * Foreground is a finalizer that `gc` takes away when the blocking dependents are gone; Orphan cuts the dependents
   loose first; Background leaves the dependents to `gc`;
 * a Namespace lives until `namespaces` has emptied it.
"""

from typing import Any

from towpath.aio.clock import Clock, format_rfc3339
from towpath.cluster.kernel import refusals
from towpath.cluster.kernel.kinds import get_resource, key_for
from towpath.cluster.kernel.store import Record, Store
from towpath.cluster.kernel.written import Written
from towpath.kube.objects import GVK, Object, find_path, metadata_of
from towpath.kube.requests import DeleteOptions, Propagation
from towpath.kube.resources import Resource

FOREGROUND = "foregroundDeletion"
PROTECTED_NAMESPACES = frozenset({"default", "kube-system"})
DEFAULT_GRACE_SECONDS = 30


def is_finished(obj: Object) -> bool:
    """Whether nothing keeps a deleted object alive any more."""
    metadata = metadata_of(obj)
    return bool(
        metadata.get("deletionTimestamp")
        and not metadata.get("finalizers")
        and not metadata.get("deletionGracePeriodSeconds")
        and not find_path(obj, "spec", "finalizers")
    )


class Deleter:
    """Deletes objects. Every method runs inside a transaction of the store."""

    def __init__(self, store: Store, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def delete(self, gvk: GVK, name: str, namespace: str, options: DeleteOptions) -> Written:
        """Delete an object, or ask it to go. Raises ApiNotFoundError, ApiConflictError, ForbiddenError."""
        resource = get_resource(gvk)
        record = self._store.find(key_for(resource, name, namespace))
        if record is None:
            raise refusals.not_found(resource, name)
        if gvk.kind == "Namespace" and name in PROTECTED_NAMESPACES:
            raise refusals.forbidden(resource, name, "this namespace may not be deleted")
        _check_preconditions(resource, record, options)
        return self.delete_record(record, options)

    def delete_record(self, record: Record, options: DeleteOptions) -> Written:
        """Delete a stored object without conditions."""
        obj = record.parse()
        before = record.parse()
        if options.propagation is Propagation.ORPHAN:
            self._orphan(record)
        self._mark(obj, record, options)
        if is_finished(obj):
            return Written(self._store.remove(record, obj), removed=True)
        if obj == before:
            return Written(obj)
        return Written(self._store.put(record.key, obj))

    def _mark(self, obj: Object, record: Record, options: DeleteOptions) -> None:
        metadata: dict[str, Any] = obj["metadata"]
        if options.propagation is Propagation.FOREGROUND:
            finalizers = metadata.setdefault("finalizers", [])
            if FOREGROUND not in finalizers:
                finalizers.append(FOREGROUND)
        grace = _grace_seconds(obj, options.grace_period_seconds)
        if "deletionTimestamp" in metadata:
            # A second request may shorten the grace period, never lengthen it.
            left = metadata.get("deletionGracePeriodSeconds") or 0
            if grace >= left:
                return
        elif metadata.get("generation"):
            metadata["generation"] += 1
        metadata["deletionTimestamp"] = format_rfc3339(self._clock.now() + grace)
        metadata["deletionGracePeriodSeconds"] = grace
        if record.key.kind == "Namespace":
            obj.setdefault("status", {})["phase"] = "Terminating"

    def _orphan(self, record: Record) -> None:
        for dependent in self._store.dependents(record.uid):
            obj = dependent.parse()
            owners = [owner for owner in metadata_of(obj)["ownerReferences"] if owner.get("uid") != record.uid]
            obj["metadata"]["ownerReferences"] = owners
            if not owners:
                del obj["metadata"]["ownerReferences"]
            self._store.put(dependent.key, obj)


def _grace_seconds(obj: Object, wanted: int | None) -> int:
    """How long the object may take; only a pod that runs on a node gets any time."""
    if obj.get("kind") != "Pod" or not find_path(obj, "spec", "nodeName"):
        return 0
    if find_path(obj, "status", "phase") in {"Succeeded", "Failed"}:
        return 0
    if wanted is not None:
        return max(wanted, 0)
    default = find_path(obj, "spec", "terminationGracePeriodSeconds")
    return DEFAULT_GRACE_SECONDS if default is None else max(int(default), 0)


def _check_preconditions(resource: Resource, record: Record, options: DeleteOptions) -> None:
    name = record.key.name
    if options.uid not in {"", record.uid}:
        raise refusals.deletion_refused(resource, name, field="UID", wanted=options.uid, found=record.uid)
    if options.resource_version not in {"", str(record.revision)}:
        raise refusals.deletion_refused(
            resource, name, field="ResourceVersion", wanted=options.resource_version, found=str(record.revision)
        )
