"""Garbage collection by ownerReferences, level-triggered.

Each rule compares the stored state with itself, never with a memory of events, so it may run at any time: after every
write on what that write touched, and over everything when the kernel opens.
 * an object whose owners are all gone is deleted; one with some owners left loses the references to those gone;
 * an owner that waits (foreground deletion) has its dependents deleted, and goes when no blocking dependent is left.
An owner of a kind the kernel does not serve is taken for present: nothing is collected on a guess.
"""

from collections.abc import Iterable
from typing import Literal

from towpath.cluster.kernel.changes import Change
from towpath.cluster.kernel.deletion import FOREGROUND, Deleter, is_finished
from towpath.cluster.kernel.store import Record, Store
from towpath.kube.objects import GVK, Object, OwnerReference, metadata_of, owners_of
from towpath.kube.requests import DeleteOptions, EventType, Propagation
from towpath.kube.resources import find_kind


class Collector:
    """Deletes what has no owner left. Every method runs inside a transaction of the store."""

    def __init__(self, store: Store, deleter: Deleter) -> None:
        self._store = store
        self._deleter = deleter

    def sweep(self) -> None:
        """Look at every object that has an owner or waits for dependents."""
        for record in self._store.owned():
            self._collect(record)
            for owner in owners_of(record.parse()):
                self._finish_uid(owner.uid)

    def react(self, change: Change) -> None:
        """Look at what one change may have affected."""
        if change.type is EventType.DELETED:
            before = change.object
            self._collect_all(self._store.dependents(str(metadata_of(before).get("uid", ""))))
            for owner in owners_of(before):
                self._finish_uid(owner.uid)
            return
        if b'"ownerReferences"' in change.body:
            record = self._store.find(change.key)
            if record is not None:
                self._collect(record)
        if b'"deletionTimestamp"' in change.body and _waits(change.object):
            record = self._store.find(change.key)
            if record is not None:
                self._delete_dependents(record)
                self._finish_uid(record.uid)

    def _collect_all(self, records: Iterable[Record]) -> None:
        for record in records:
            current = self._store.find(record.key)
            if current is not None and current.uid == record.uid:
                self._collect(current)

    def _collect(self, record: Record) -> None:
        obj = record.parse()
        owners = owners_of(obj)
        if not owners or metadata_of(obj).get("deletionTimestamp"):
            return
        found = [self._find_owner(owner, record) for owner in owners]
        gone = {owner.uid for owner, state in zip(owners, found, strict=True) if state == "gone"}
        if len(gone) == len(owners):
            self._deleter.delete_record(record, DeleteOptions(propagation=_policy(obj)))
        elif gone:
            references = obj["metadata"]["ownerReferences"]
            obj["metadata"]["ownerReferences"] = [owner for owner in references if owner.get("uid") not in gone]
            self._store.put(record.key, obj)

    def _delete_dependents(self, owner: Record) -> None:
        for record in self._store.dependents(owner.uid):
            obj = record.parse()
            states = {self._find_owner(reference, record) for reference in owners_of(obj)}
            if "present" in states or metadata_of(obj).get("deletionTimestamp"):
                continue
            foreground = bool(self._store.dependents(record.uid))
            policy = Propagation.FOREGROUND if foreground else _policy(obj)
            self._deleter.delete_record(record, DeleteOptions(propagation=policy))

    def _finish_uid(self, uid: str) -> None:
        """Let a waiting owner go when nothing blocks it any more."""
        record = self._store.find_uid(uid)
        if record is None:
            return
        obj = record.parse()
        if not _waits(obj) or any(_blocks(dependent, uid) for dependent in self._store.dependents(uid)):
            return
        obj["metadata"]["finalizers"].remove(FOREGROUND)
        if not obj["metadata"]["finalizers"]:
            del obj["metadata"]["finalizers"]
        if is_finished(obj):
            self._store.remove(record, obj)
        else:
            self._store.put(record.key, obj)

    def _find_owner(self, owner: OwnerReference, dependent: Record) -> Literal["present", "waiting", "gone"]:
        gvk = GVK.parse(owner.api_version, owner.kind)
        if find_kind(gvk.group, gvk.kind) is None:
            return "present"
        record = self._store.find_uid(owner.uid)
        if record is None or record.key.namespace not in {"", dependent.key.namespace}:
            return "gone"
        return "waiting" if _waits(record.parse()) else "present"


def _waits(obj: Object) -> bool:
    metadata = metadata_of(obj)
    return bool(metadata.get("deletionTimestamp")) and FOREGROUND in (metadata.get("finalizers") or [])


def _blocks(dependent: Record, uid: str) -> bool:
    return any(owner.uid == uid and owner.block_owner_deletion for owner in owners_of(dependent.parse()))


def _policy(obj: Object) -> Propagation:
    """What the object itself asked for by a finalizer, as upstream's collector reads it."""
    finalizers = metadata_of(obj).get("finalizers") or []
    return Propagation.FOREGROUND if FOREGROUND in finalizers else Propagation.BACKGROUND
