"""What is live, kept up to date by watches: the managed objects, and the pods beside them.

One watch a managed kind (selected by our label) and one a namespace's pods; no other object of the cluster is held.
Readers are told of each change as it happens, so health is known within milliseconds of a pod turning ready. What this
process has just written is put in at once: a reader never sees an older state than the one it caused.
"""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeAlias

from towpath.aio.tasks import Background
from towpath.kube.errors import ExpiredError
from towpath.kube.objects import GVK, Object, ObjectKey, key_of, labels_of, resource_version_of, uid_of
from towpath.kube.requests import EventType, ObjectList
from towpath.reconcile.marks import ENVIRONMENT_LABEL
from towpath.reconcile.ports import ResourceReader

POD = GVK("", "v1", "Pod")
# Before and after; None where it did not or does not exist.
Listener: TypeAlias = Callable[[ObjectKey, Object | None, Object | None], None]
_Scope: TypeAlias = tuple[GVK, str, str]  # kind, namespace ("" for all), label selector


class LiveView:
    """The watched objects. Objects are shared with the view: read them, never change them."""

    def __init__(self, reader: ResourceReader) -> None:
        self._reader = reader
        self._objects: dict[ObjectKey, Object] = {}
        self._listeners: list[Listener] = []
        self._synced: dict[_Scope, asyncio.Event] = {}
        self._background = Background()

    def subscribe(self, listener: Listener) -> None:
        """Have `listener` called for every change."""
        self._listeners.append(listener)

    async def follow(self, kinds: Iterable[GVK], pod_namespaces: Iterable[str]) -> None:
        """Watch these as well; returns when each has been listed once."""
        scopes: list[_Scope] = [(kind, "", ENVIRONMENT_LABEL) for kind in kinds]
        scopes += [(POD, namespace, "") for namespace in pod_namespaces]
        for scope in scopes:
            if scope not in self._synced:
                self._synced[scope] = asyncio.Event()
                self._background.run_forever(f"watch {scope[0].kind} {scope[1]}".strip(), partial(self._watch, scope))
        await asyncio.gather(*(self._synced[scope].wait() for scope in scopes))

    def find(self, key: ObjectKey) -> Object | None:
        """One object, as last seen."""
        return self._objects.get(key)

    def pods(self, namespace: str) -> list[Object]:
        """The pods of a followed namespace."""
        return [obj for key, obj in self._objects.items() if key.kind == POD.kind and key.namespace == namespace]

    def put(self, obj: Object) -> None:
        """Take in an object this process has just written or read, unless a newer state is known."""
        key = key_of(obj)
        known = self._objects.get(key)
        if known is None or uid_of(known) != uid_of(obj) or _version(obj) >= _version(known):
            self._replace(key, obj)

    async def close(self) -> None:
        """End the watches."""
        await self._background.close()

    async def _watch(self, scope: _Scope) -> None:
        kind, namespace, labels = scope
        while True:
            listed = await self._reader.list(kind, namespace, labels=labels)
            self._relist(scope, listed)
            self._synced[scope].set()
            try:
                events = self._reader.watch(kind, namespace, labels=labels, resource_version=listed.resource_version)
                async for event in events:
                    if event.type is EventType.DELETED:
                        self._remove(event.object)
                    elif event.type in {EventType.ADDED, EventType.MODIFIED}:
                        self.put(event.object)
            except ExpiredError:
                continue

    def _relist(self, scope: _Scope, listed: ObjectList) -> None:
        kind, namespace, labels = scope
        names = {key_of(obj) for obj in listed.items}
        moment = _number(listed.resource_version)
        for key, obj in list(self._objects.items()):
            in_scope = (key.group, key.kind) == (kind.group, kind.kind) and namespace in {"", key.namespace}
            in_scope = in_scope and (not labels or ENVIRONMENT_LABEL in labels_of(obj))
            # What is newer than the list was written while it was on its way; the watch will tell of it.
            if in_scope and key not in names and _version(obj) <= moment:
                self._replace(key, None)
        for obj in listed.items:
            self.put(obj)

    def _remove(self, obj: Object) -> None:
        known = self._objects.get(key_of(obj))
        if known is not None and uid_of(known) == uid_of(obj) and _version(obj) >= _version(known):
            self._replace(key_of(obj), None)

    def _replace(self, key: ObjectKey, obj: Object | None) -> None:
        before = self._objects.pop(key, None)
        if obj is not None:
            self._objects[key] = obj
        if before is not None or obj is not None:
            for listener in self._listeners:
                listener(key, before, obj)


def _version(obj: Object) -> int:
    return _number(resource_version_of(obj))


def _number(text: str) -> int:
    # Comparable numbers since Kubernetes 1.35, and in every etcd-backed server before.
    return int(text) if text.isdecimal() else 0
