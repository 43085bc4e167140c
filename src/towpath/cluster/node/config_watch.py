"""Hears of every change of a ConfigMap or Secret, by name only: the pods that show them fetch the contents."""

from collections.abc import AsyncIterator, Callable
from typing import Protocol

from towpath.cluster.node.pod.references import ConfigKey
from towpath.kube.errors import ExpiredError
from towpath.kube.objects import GVK, Object, name_of, namespace_of
from towpath.kube.requests import EventType, ObjectList, WatchEvent

EVERYTHING = ("", ConfigKey("", ""))

Changed = Callable[[str, ConfigKey], None]


class ObjectWatcher(Protocol):
    """The verbs needed here."""

    async def list(self, gvk: GVK, namespace: str = "", *, labels: str = "", fields: str = "") -> ObjectList:
        """All objects of a kind."""
        ...

    def watch(
        self, gvk: GVK, namespace: str = "", *, labels: str = "", fields: str = "", resource_version: str = ""
    ) -> AsyncIterator[WatchEvent]:
        """Events after a version. Raises ExpiredError."""
        ...


async def follow_changes(client: ObjectWatcher, gvk: GVK, on_change: Changed) -> None:
    """Tell the namespace and key of each change, until cancelled or the watch ends.

    After a gap nobody knows what changed: then `EVERYTHING` is told.
    """
    first = True
    while True:
        listing = await client.list(gvk)
        if not first:
            on_change(*EVERYTHING)
        first = False
        try:
            async for event in client.watch(gvk, resource_version=listing.resource_version):
                if event.type is not EventType.BOOKMARK:
                    on_change(*_key(gvk, event.object))
        except ExpiredError:
            continue
        return


def _key(gvk: GVK, obj: Object) -> tuple[str, ConfigKey]:
    return namespace_of(obj), ConfigKey(gvk.kind, name_of(obj))
