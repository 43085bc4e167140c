"""The watched objects, against a kernel whose history can be forgotten."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from fakes.reconciling import World, config
from towpath.kube.errors import ExpiredError
from towpath.kube.objects import GVK, Object, ObjectKey, key_of
from towpath.kube.requests import EventType, ObjectList, WatchEvent
from towpath.reconcile.live import LiveView

CONFIG_MAP = GVK("", "v1", "ConfigMap")


def labelled(name: str = "a", version: int = 1, uid: str = "u1", **data: str) -> Object:
    obj = {**config(name), "data": data}
    obj["metadata"] |= {
        "labels": {"towpath.dev/environment": "dev"},
        "resourceVersion": str(version),
        "uid": uid,
    }
    return obj


class Script:
    """Satisfies `reconcile.ports.ResourceReader`: lists and watches that a test has written down."""

    def __init__(self, *rounds: tuple[list[Object], list[WatchEvent]]) -> None:
        self.rounds = list(rounds)
        self.watched_from: list[str] = []

    async def get(self, gvk: GVK, name: str, namespace: str = "") -> Object:
        raise AssertionError(f"{gvk} {namespace}/{name} is not asked for")

    async def list(self, gvk: GVK, namespace: str = "", *, labels: str = "", fields: str = "") -> ObjectList:
        assert (gvk, namespace, labels, fields) == (CONFIG_MAP, "", "towpath.dev/environment", "")
        return ObjectList(self.rounds[0][0], "7")

    async def watch(
        self, gvk: GVK, namespace: str = "", *, labels: str = "", fields: str = "", resource_version: str = ""
    ) -> AsyncIterator[WatchEvent]:
        self.watched_from.append(f"{gvk.kind} {namespace}{labels}{fields} {resource_version}")
        for event in self.rounds[0][1]:
            yield event
        if len(self.rounds) == 1:
            await asyncio.Event().wait()
        self.rounds.pop(0)
        raise ExpiredError("too old")


async def follow(*rounds: tuple[list[Object], list[WatchEvent]]) -> tuple[LiveView, list[str]]:
    heard: list[str] = []
    script = Script(*rounds)
    view = LiveView(script)

    def listen(key: ObjectKey, before: Object | None, after: Object | None) -> None:
        heard.append(f"{key.name}: {before and before.get('data')} -> {after and after.get('data')}")

    view.subscribe(listen)
    await view.follow([CONFIG_MAP], [])
    return view, heard


async def test_what_is_listed_and_what_happens_after_is_known(world: World) -> None:
    view = LiveView(world.cluster)
    first = await world.workloads.create(
        labelled(k="1") | {"metadata": labelled()["metadata"] | {"resourceVersion": "", "uid": ""}}
    )
    await view.follow([CONFIG_MAP], ["dev"])
    assert view.find(key_of(first)) == first
    changed = await world.workloads.change(first, {"data": {"k": "2"}})
    await world.settle()
    assert view.find(key_of(first)) == changed
    await world.workloads.delete(first)
    await world.settle()
    assert view.find(key_of(first)) is None
    await view.close()


async def test_a_view_that_fell_behind_lists_again_and_notices_what_it_missed() -> None:
    a, b = labelled("a", 1, k="1"), labelled("b", 2, "u2", k="1")
    view, heard = await follow(([a, b], []), ([labelled("a", 9, k="2")], []))
    await drain()
    assert heard[:4] == [
        "a: None -> {'k': '1'}",
        "b: None -> {'k': '1'}",
        "b: {'k': '1'} -> None",
        "a: {'k': '1'} -> {'k': '2'}",
    ]
    await view.close()


async def test_an_older_state_never_replaces_a_newer_one() -> None:
    events = [
        WatchEvent(EventType.MODIFIED, labelled("a", 3, k="old")),
        WatchEvent(EventType.DELETED, labelled("a", 4)),
    ]
    script = Script(([labelled("a", 2)], events), ([labelled("a", 2)], []))
    view = LiveView(script)
    view.put(labelled("a", 5, k="just written"))
    view.put(labelled("b", 8, "u2", k="written while the list was on its way"))
    heard: list[str] = []
    view.subscribe(lambda key, _before, after: heard.append(f"{key.name} {after and after['data']}"))
    await view.follow([CONFIG_MAP], [])
    await drain()
    assert heard == []
    assert script.watched_from == ["ConfigMap towpath.dev/environment 7"] * 2
    await view.close()


async def test_another_object_of_the_same_name_replaces_it_at_any_version() -> None:
    view = LiveView(Script(([], [])))
    view.put(labelled("a", 9, k="first"))
    view.put(labelled("a", 5, "u2", k="second"))
    found = view.find(key_of(labelled("a")))
    assert found is not None
    assert found["data"] == {"k": "second"}


@pytest.mark.parametrize("version", ["", "not-a-number"])
async def test_versions_that_are_no_numbers_are_taken_as_they_come(version: str) -> None:
    view = LiveView(Script(([], [])))
    odd = labelled("a", k="odd")
    odd["metadata"]["resourceVersion"] = version
    view.put(odd)
    view.put({**odd, "data": {"k": "odder"}})
    found = view.find(key_of(odd))
    assert found is not None
    assert found["data"] == {"k": "odder"}


async def drain() -> None:
    for _ in range(50):
        await asyncio.sleep(0)
