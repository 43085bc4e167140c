"""What is live, kept up to date by watches: the managed objects, and the pods beside them.

Managed objects are selected by our label, so no other object of the cluster is held; `scopes_of` says by which watches:
few wide ones where the cluster is ours, narrow ones where rights are given by namespace and name. Readers are told of
each change as it happens, so health is known within milliseconds of a pod turning ready. What this process has just
written is put in at once: a reader never sees an older state than the one it caused.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from towpath.aio.backoff import Backoff
from towpath.aio.tasks import Background
from towpath.kube.errors import ApiError, ExpiredError
from towpath.kube.objects import GVK, Object, ObjectKey, key_of, labels_of, name_of, resource_version_of, uid_of
from towpath.kube.requests import EventType, ObjectList
from towpath.reconcile.marks import ENVIRONMENT_LABEL
from towpath.reconcile.ports import ResourceReader

log = logging.getLogger(__name__)
POD = GVK("", "v1", "Pod")
SECRET = GVK("", "v1", "Secret")
# A right that is missing, or a server that is away: ten seconds after it is there, so is the watch.
RETRY = Backoff(initial_seconds=0.2, cap_seconds=10.0)
# Before and after; None where it did not or does not exist.
Listener: TypeAlias = Callable[[ObjectKey, Object | None, Object | None], None]


@dataclass(frozen=True, slots=True)
class Scope:
    """What one watch covers: a kind, in a namespace ("" for all), with our label or with any, of one name or of all."""

    kind: GVK
    namespace: str = ""
    labels: str = ENVIRONMENT_LABEL
    name: str = ""

    @property
    def fields(self) -> str:
        """The field selector."""
        return f"metadata.name={self.name}" if self.name else ""

    def covers(self, obj: Object, key: ObjectKey) -> bool:
        """Whether the watch tells of this object."""
        same_kind = (key.group, key.kind) == (self.kind.group, self.kind.kind)
        labelled = not self.labels or ENVIRONMENT_LABEL in labels_of(obj)
        return same_kind and labelled and self.namespace in {"", key.namespace} and self.name in {"", name_of(obj)}


def scopes_of(managed: Iterable[tuple[GVK, ObjectKey]], *, narrow: bool) -> set[Scope]:
    """The watches that see these objects and the pods beside them.

    Narrow ones stay in the namespaces of the objects; cluster-scoped objects and Secrets, where a right to all of them
    would be a right to everybody's, are watched by name.
    """
    scopes: set[Scope] = set()
    for gvk, key in managed:
        if key.namespace:
            scopes.add(Scope(POD, key.namespace, labels=""))
        if not narrow:
            scopes.add(Scope(gvk))
        elif not key.namespace or gvk == SECRET:
            scopes.add(Scope(gvk, key.namespace, name=key.name))
        else:
            scopes.add(Scope(gvk, key.namespace))
    return scopes


@dataclass(slots=True)
class _Watch:
    """A watch that runs: who wants it, and how its first list went."""

    task: asyncio.Task[None]
    readers: set[str] = field(default_factory=set)
    tried: asyncio.Event = field(default_factory=asyncio.Event)
    problem: ApiError | None = None


class LiveView:
    """The watched objects. Objects are shared with the view: read them, never change them."""

    def __init__(self, reader: ResourceReader) -> None:
        self._reader = reader
        self._objects: dict[ObjectKey, Object] = {}
        self._listeners: list[Listener] = []
        self._watches: dict[Scope, _Watch] = {}
        self._background = Background()

    def subscribe(self, listener: Listener) -> None:
        """Have `listener` called for every change."""
        self._listeners.append(listener)

    async def follow(self, scopes: Iterable[Scope], *, reader: str = "") -> None:
        """Watch these for `reader`, and nothing else for it; returns when each has been listed once.

        Raises:
            ApiError: a list was refused, or not answered; it is tried again until nobody wants it.
        """
        wanted = set(scopes)
        for scope in wanted - self._watches.keys():
            name = f"watch {scope.kind.kind} {scope.namespace}".strip()
            self._watches[scope] = _Watch(self._background.run_forever(name, partial(self._watch, scope)))
        for scope, watch in list(self._watches.items()):
            if scope in wanted:
                watch.readers.add(reader)
            else:
                watch.readers.discard(reader)
                if not watch.readers:
                    self._end(scope)
        watches = [self._watches[scope] for scope in wanted]
        await asyncio.gather(*(watch.tried.wait() for watch in watches))
        for watch in watches:
            if watch.problem is not None:
                raise watch.problem

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

    def _end(self, scope: Scope) -> None:
        self._watches.pop(scope).task.cancel()
        for key, obj in list(self._objects.items()):
            if scope.covers(obj, key) and not any(other.covers(obj, key) for other in self._watches):
                del self._objects[key]  # nobody keeps it up to date any more

    async def _watch(self, scope: Scope) -> None:
        watch = self._watches[scope]
        failures = 0
        while True:
            try:
                await self._read(scope, watch)
            except ExpiredError:
                failures = 0
            except ApiError as error:
                if watch.problem is None:
                    log.warning("watch of %s %s: %s", scope.kind.kind, scope.namespace, error.message)
                watch.problem = error
                watch.tried.set()
                failures += 1
                await asyncio.sleep(RETRY.delay(failures))

    async def _read(self, scope: Scope, watch: _Watch) -> None:
        """List and follow, until the version is too old. Raises ApiError."""
        query = {"labels": scope.labels, "fields": scope.fields}
        listed = await self._reader.list(scope.kind, scope.namespace, **query)
        self._relist(scope, listed)
        watch.problem = None
        watch.tried.set()
        version = listed.resource_version
        async for event in self._reader.watch(scope.kind, scope.namespace, **query, resource_version=version):
            if event.type is EventType.DELETED:
                self._remove(event.object)
            elif event.type in {EventType.ADDED, EventType.MODIFIED}:
                self.put(event.object)

    def _relist(self, scope: Scope, listed: ObjectList) -> None:
        names = {key_of(obj) for obj in listed.items}
        moment = _number(listed.resource_version)
        for key, obj in list(self._objects.items()):
            # What is newer than the list was written while it was on its way; the watch will tell of it.
            if scope.covers(obj, key) and key not in names and _version(obj) <= moment:
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
