"""The shared cache: one watch, many readers, and no change lost or announced twice."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from towpath.cluster.controllers.informer import Informer, NamespacedName
from towpath.kube.errors import ApiNotFoundError, ExpiredError
from towpath.kube.objects import GVK, Object, name_of
from towpath.kube.requests import EventType, ObjectList, WatchEvent

KIND = GVK("", "v1", "ConfigMap")


def obj(name: str, version: int, *, owner: str = "", namespace: str = "dev") -> Object:
    metadata: dict[str, Any] = {"name": name, "namespace": namespace, "resourceVersion": str(version)}
    if owner:
        metadata["ownerReferences"] = [{"uid": owner, "controller": True}]
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


class ScriptedReader:
    """Lists and watches as the test dictates: a watch ends with the script's next error, or hangs."""

    def __init__(self, lists: list[ObjectList], watches: list[list[WatchEvent | Exception]]) -> None:
        self.lists = lists
        self.watches = watches
        self.watched_from: list[str] = []

    async def get(self, gvk: GVK, name: str, namespace: str = "") -> Object:
        raise ApiNotFoundError(f"{gvk} {namespace}/{name}")

    async def list(self, gvk: GVK, namespace: str = "") -> ObjectList:
        assert (gvk, namespace) == (KIND, "")
        return self.lists.pop(0)

    async def watch(self, gvk: GVK, namespace: str = "", *, resource_version: str = "") -> AsyncIterator[WatchEvent]:
        assert (gvk, namespace) == (KIND, "")
        self.watched_from.append(resource_version)
        for event in self.watches.pop(0):
            if isinstance(event, Exception):
                raise event
            yield event


class Story:
    """An informer that writes down what it announces."""

    def __init__(self, reader: ScriptedReader) -> None:
        self.reader = reader
        self.informer = Informer(reader, KIND)
        self.heard: list[tuple[str | None, str | None]] = []
        self.informer.on_change(self._hear)

    def _hear(self, before: Object | None, after: Object | None) -> None:
        def version(one: Object | None) -> str | None:
            return f"{name_of(one)}@{one['metadata']['resourceVersion']}" if one else None

        self.heard.append((version(before), version(after)))


def story(lists: list[ObjectList], *watches: list[WatchEvent | Exception]) -> Story:
    return Story(ScriptedReader(lists, list(watches)))


async def test_what_exists_and_what_follows_is_announced_in_order() -> None:
    told = story(
        [ObjectList([obj("a", 1)], "3")],
        [
            WatchEvent(EventType.ADDED, obj("b", 4)),
            WatchEvent(EventType.MODIFIED, obj("a", 5)),
            WatchEvent(EventType.DELETED, obj("b", 6)),
        ],
    )
    await told.informer.run()
    assert told.heard == [(None, "a@1"), (None, "b@4"), ("a@1", "a@5"), ("b@4", None)]
    assert told.reader.watched_from == ["3"]
    assert [name_of(one) for one in told.informer] == ["a"]
    assert told.informer.seen == 6


async def test_a_bookmark_moves_only_what_has_been_seen() -> None:
    told = story([ObjectList([], "3")], [WatchEvent(EventType.BOOKMARK, obj("", 9))])
    await told.informer.run()
    assert told.heard == []
    assert told.informer.seen == 9


async def test_an_expired_watch_is_replaced_by_a_list_and_only_differences_are_announced() -> None:
    told = story(
        [
            ObjectList([obj("same", 1), obj("changed", 2), obj("gone", 3)], "3"),
            ObjectList([obj("same", 1), obj("changed", 8), obj("new", 9)], "9"),
        ],
        [ExpiredError("too old resource version")],
        [],
    )
    await told.informer.run()
    assert told.heard[3:] == [("gone@3", None), ("changed@2", "changed@8"), (None, "new@9")]
    assert told.reader.watched_from == ["3", "9"]


async def test_running_again_after_a_failed_watch_catches_up() -> None:
    told = story(
        [ObjectList([obj("a", 1)], "1"), ObjectList([], "4")],
        [RuntimeError("the watch broke")],
        [],
    )
    with pytest.raises(RuntimeError):
        await told.informer.run()
    await told.informer.run()
    assert told.heard == [(None, "a@1"), ("a@1", None)]


async def test_objects_are_found_by_namespace_and_by_owner() -> None:
    told = story(
        [ObjectList([obj("b", 2, owner="u1"), obj("a", 1, owner="u1"), obj("c", 3, namespace="prod")], "3")],
        [WatchEvent(EventType.MODIFIED, obj("b", 4, owner="u2"))],
    )
    await told.informer.run()
    assert [name_of(one) for one in told.informer.in_namespace("dev")] == ["a", "b"]
    assert [name_of(one) for one in told.informer.in_namespace("prod")] == ["c"]
    assert told.informer.in_namespace("nowhere") == []
    assert [name_of(one) for one in told.informer.owned_by("u1")] == ["a"]
    assert [name_of(one) for one in told.informer.owned_by("u2")] == ["b"]
    assert told.informer.find(NamespacedName("dev", "c")) is None


async def test_one_handlers_fault_does_not_cost_the_others_the_change() -> None:
    told = Story(ScriptedReader([ObjectList([obj("a", 1)], "1")], [[]]))
    later: list[Object | None] = []

    def faulty(_before: Object | None, _after: Object | None) -> None:
        raise ValueError

    told.informer.on_change(faulty)
    told.informer.on_change(lambda _before, after: later.append(after))
    await told.informer.run()
    assert len(later) == 1


async def test_whoever_waits_for_the_first_list_goes_on_after_it() -> None:
    told = story([ObjectList([obj("a", 1)], "1")], [])
    waiting = asyncio.create_task(told.informer.wait_synced())
    await asyncio.sleep(0)
    assert not waiting.done()
    await told.informer.run()
    await waiting
