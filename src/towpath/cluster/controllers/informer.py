"""One kind's objects, kept up to date by one watch and shared by every controller that needs them.

Rules: the cache changes before a handler hears of it; a handler gets the state before and after (None: did not exist,
or is gone), so that whatever an object used to match is looked at again too; cached objects belong to everyone and are
never mutated. A watch whose version expired is replaced by a fresh list, and only the differences are announced.

`seen` compares resource versions as integers: they are one growing counter in the embedded kernel, and comparable in
every Kubernetes since 1.35.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from towpath.cluster.controllers.ports import ObjectReader
from towpath.kube.errors import ExpiredError
from towpath.kube.objects import GVK, Object, controller_of, name_of, namespace_of, resource_version_of
from towpath.kube.requests import EventType, WatchEvent

log = logging.getLogger(__name__)

Handler: TypeAlias = Callable[[Object | None, Object | None], None]


class NamespacedName(NamedTuple):
    """What names an object of a known kind; the namespace is "" for cluster-scoped kinds."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def namespaced_name(obj: Object) -> NamespacedName:
    """The object's namespace and name."""
    return NamespacedName(namespace_of(obj), name_of(obj))


def version_number(obj: Object) -> int:
    """The object's resource version as a number; 0 if it has none."""
    return int(resource_version_of(obj) or 0)


class Informer:
    """The cache of one kind, indexed by namespace and by controlling owner."""

    def __init__(self, client: ObjectReader, gvk: GVK) -> None:
        self.gvk = gvk
        self.seen = 0
        self._client = client
        self._handlers: list[Handler] = []
        self._by_namespace: dict[str, dict[str, Object]] = {}
        self._by_owner: dict[str, dict[NamespacedName, Object]] = {}
        self._synced = asyncio.Event()

    def on_change(self, handler: Handler) -> None:
        """Call `handler(before, after)` after every change; register before `run`."""
        self._handlers.append(handler)

    def find(self, name: NamespacedName) -> Object | None:
        """The cached object, or None. Never mutate it."""
        return self._by_namespace.get(name.namespace, {}).get(name.name)

    def in_namespace(self, namespace: str) -> list[Object]:
        """The cached objects of one namespace ("" for a cluster-scoped kind), by name."""
        objects = self._by_namespace.get(namespace, {})
        return [objects[name] for name in sorted(objects)]

    def owned_by(self, owner_uid: str) -> list[Object]:
        """The cached objects whose controlling owner has this uid, by name."""
        objects = self._by_owner.get(owner_uid, {})
        return [objects[name] for name in sorted(objects)]

    def __iter__(self) -> Iterator[Object]:
        """Every cached object."""
        for objects in list(self._by_namespace.values()):
            yield from list(objects.values())

    async def wait_synced(self) -> None:
        """Wait for the first complete list."""
        await self._synced.wait()

    async def run(self) -> None:
        """List, then follow the watch until it ends. Run it again to go on: the list catches up."""
        while True:
            listing = await self._client.list(self.gvk)
            self._replace(listing.items)
            self.seen = max(self.seen, int(listing.resource_version or 0))
            self._synced.set()
            try:
                async for event in self._client.watch(self.gvk, resource_version=listing.resource_version):
                    self._take(event)
            except ExpiredError:
                log.debug("the watch of %s expired; listing again", self.gvk)
            else:
                return

    def _replace(self, objects: list[Object]) -> None:
        present = {namespaced_name(obj) for obj in objects}
        for gone in [obj for obj in self if namespaced_name(obj) not in present]:
            self._change(namespaced_name(gone), None)
        for obj in objects:
            cached = self.find(namespaced_name(obj))
            if cached is None or resource_version_of(cached) != resource_version_of(obj):
                self._change(namespaced_name(obj), obj)

    def _take(self, event: WatchEvent) -> None:
        self.seen = max(self.seen, version_number(event.object))
        if event.type in {EventType.ADDED, EventType.MODIFIED}:
            self._change(namespaced_name(event.object), event.object)
        elif event.type is EventType.DELETED:
            self._change(namespaced_name(event.object), None)

    def _change(self, name: NamespacedName, after: Object | None) -> None:
        before = self.find(name)
        if before is not None:
            self._forget(name, before)
        if after is not None:
            self._by_namespace.setdefault(name.namespace, {})[name.name] = after
            owner = controller_of(after)
            if owner is not None:
                self._by_owner.setdefault(owner.uid, {})[name] = after
        if before is None and after is None:
            return
        for handler in self._handlers:
            try:
                handler(before, after)
            except Exception:
                # One controller's fault must not cost the others this change.
                log.exception("a handler of %s failed on %s", self.gvk, name)

    def _forget(self, name: NamespacedName, before: Object) -> None:
        namespace = self._by_namespace[name.namespace]
        del namespace[name.name]
        if not namespace:
            del self._by_namespace[name.namespace]
        owner = controller_of(before)
        if owner is not None:
            owned = self._by_owner[owner.uid]
            del owned[name]
            if not owned:
                del self._by_owner[owner.uid]
