"""The watched objects, against a kernel whose history can be forgotten."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from fakes.reconciling import World, config
from towpath.kube.errors import ExpiredError, ForbiddenError
from towpath.kube.objects import GVK, Object, ObjectKey, key_of
from towpath.kube.requests import EventType, ObjectList, WatchEvent
from towpath.reconcile.live import LiveView, Scope, scopes_of

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
    await view.follow([Scope(CONFIG_MAP)])
    return view, heard


async def test_what_is_listed_and_what_happens_after_is_known(world: World) -> None:
    view = LiveView(world.cluster)
    first = await world.workloads.create(
        labelled(k="1") | {"metadata": labelled()["metadata"] | {"resourceVersion": "", "uid": ""}}
    )
    await view.follow([Scope(CONFIG_MAP)])
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
    await view.follow([Scope(CONFIG_MAP)])
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


DEPLOYMENT, NAMESPACE, POD, SECRET = (
    GVK("apps", "v1", "Deployment"),
    GVK("", "v1", "Namespace"),
    GVK("", "v1", "Pod"),
    GVK("", "v1", "Secret"),
)
MANAGED = [
    (DEPLOYMENT, ObjectKey("apps", "Deployment", "dev", "sensor")),
    (DEPLOYMENT, ObjectKey("apps", "Deployment", "tools", "broker")),
    (SECRET, ObjectKey("", "Secret", "dev", "towpath-pull")),
    (NAMESPACE, ObjectKey("", "Namespace", "", "dev")),
]


def test_where_the_cluster_is_ours_a_kind_is_one_watch() -> None:
    pods = {Scope(POD, namespace, labels="") for namespace in ("dev", "tools")}

    assert scopes_of(MANAGED, narrow=False) == {Scope(DEPLOYMENT), Scope(SECRET), Scope(NAMESPACE), *pods}


def test_where_others_live_too_nothing_is_watched_beyond_our_namespaces_and_secrets_by_name_only() -> None:
    assert scopes_of(MANAGED, narrow=True) == {
        Scope(DEPLOYMENT, "dev"),
        Scope(DEPLOYMENT, "tools"),
        Scope(SECRET, "dev", name="towpath-pull"),
        Scope(NAMESPACE, name="dev"),
        Scope(POD, "dev", labels=""),
        Scope(POD, "tools", labels=""),
    }


async def test_a_watch_by_name_tells_of_that_object_alone(world: World) -> None:
    view = LiveView(world.cluster)
    fresh = {"resourceVersion": "", "uid": ""}
    for name in ("a", "b"):
        await world.workloads.create({**labelled(name), "metadata": {**labelled(name)["metadata"], **fresh}})
    await view.follow([Scope(CONFIG_MAP, "dev", name="b")])

    assert view.find(key_of(labelled("a"))) is None
    assert view.find(key_of(labelled("b"))) is not None
    await view.close()


async def test_what_nobody_follows_any_more_is_forgotten_and_its_watch_ends(world: World) -> None:
    view = LiveView(world.cluster)
    obj = await world.workloads.create(
        {**labelled(), "metadata": {**labelled()["metadata"], "resourceVersion": "", "uid": ""}}
    )
    await view.follow([Scope(CONFIG_MAP)], reader="dev")
    await view.follow([Scope(CONFIG_MAP)], reader="prod")
    await view.follow([], reader="dev")
    assert view.find(key_of(obj)) is not None, "prod follows it still"
    await view.follow([], reader="prod")
    assert view.find(key_of(obj)) is None
    await world.workloads.change(obj, {"data": {"k": "2"}})
    await world.settle()
    assert view.find(key_of(obj)) is None
    await view.close()


class Refusing(Script):
    """Refuses the first list, as a server does before the right is granted."""

    def __init__(self) -> None:
        super().__init__(([labelled()], []))
        self.refusals = 1

    async def list(self, gvk: GVK, namespace: str = "", *, labels: str = "", fields: str = "") -> ObjectList:
        if self.refusals:
            self.refusals -= 1
            raise ForbiddenError("configmaps is forbidden")
        return await super().list(gvk, namespace, labels=labels, fields=fields)


async def test_a_refused_watch_is_said_and_tried_again_until_it_is_granted() -> None:
    view = LiveView(Refusing())
    granted = asyncio.Event()
    view.subscribe(lambda *_: granted.set())
    with pytest.raises(ForbiddenError):
        await view.follow([Scope(CONFIG_MAP)])

    async with asyncio.timeout(60):
        await granted.wait()
    assert view.find(key_of(labelled())) is not None
    await view.follow([Scope(CONFIG_MAP)])
    await view.close()


async def drain() -> None:
    for _ in range(50):
        await asyncio.sleep(0)
