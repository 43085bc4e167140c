import asyncio
from typing import Any

import pytest

from contract.resource_client.worlds import CONFIG_MAP, NAMESPACE, World, options, read_events
from towpath.kube.errors import ApiNotFoundError, BadRequestError
from towpath.kube.objects import GVK, name_of
from towpath.kube.requests import DeleteOptions, EventType


async def make_labelled(world: World) -> None:
    for name, tier in (("a", "front"), ("b", "back"), ("c", "front")):
        await world.client.create(world.config_map(name, {"k": name}, labels={"tier": tier, "suite": "x"}), options())


async def test_a_missing_object_is_named_in_full(world: World) -> None:
    with pytest.raises(ApiNotFoundError, match=r'^deployments\.apps "sensor" not found$') as caught:
        await world.get(GVK("apps", "v1", "Deployment"), "sensor")
    assert caught.value.status()["details"] == {"name": "sensor", "group": "apps", "kind": "deployments"}


async def test_a_kind_that_is_not_served_is_not_found(world: World) -> None:
    with pytest.raises(ApiNotFoundError):
        await world.get(GVK("example.test", "v1", "Unicorn"), "one")


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("suite=x", ["a", "b", "c"]),
        ("tier=front", ["a", "c"]),
        ("tier!=front,suite", ["b"]),
        ("tier in (front, back),suite=x", ["a", "b", "c"]),
        ("tier notin (front),suite=x", ["b"]),
        ("!tier,suite", []),
    ],
)
async def test_lists_select_by_label(world: World, selector: str, names: list[str]) -> None:
    await make_labelled(world)
    found = await world.client.list(CONFIG_MAP, world.namespace, labels=selector)
    assert [name_of(item) for item in found.items] == names


async def test_lists_select_by_field(world: World) -> None:
    await make_labelled(world)
    found = await world.client.list(CONFIG_MAP, world.namespace, fields="metadata.name=b")
    assert [name_of(item) for item in found.items] == ["b"]


async def test_a_list_of_all_namespaces_has_every_namespace_s_objects(world: World) -> None:
    await make_labelled(world)
    everywhere = await world.client.list(CONFIG_MAP, labels="suite=x", fields=f"metadata.namespace={world.namespace}")
    assert [name_of(item) for item in everywhere.items] == ["a", "b", "c"]


async def test_a_selector_that_makes_no_sense_is_refused(world: World) -> None:
    with pytest.raises(BadRequestError):
        await world.client.list(CONFIG_MAP, world.namespace, labels="a in b")


async def test_listed_objects_say_their_kind(world: World) -> None:
    await make_labelled(world)
    found = await world.client.list(CONFIG_MAP, world.namespace, labels="suite=x")
    assert {(item["apiVersion"], item["kind"]) for item in found.items} == {("v1", "ConfigMap")}


async def test_changing_a_returned_object_changes_nothing_else(world: World) -> None:
    created = await world.client.create(world.config_map(data={"a": "1"}), options())
    created["data"]["a"] = "2"
    read = await world.get(CONFIG_MAP, "settings")
    read["data"]["a"] = "3"
    assert (await world.get(CONFIG_MAP, "settings"))["data"] == {"a": "1"}


async def test_a_watch_without_a_version_begins_with_what_exists(world: World) -> None:
    await make_labelled(world)
    events = await read_events(world.client, CONFIG_MAP, world.namespace, 2, labels="tier=front")
    assert [(event.type, name_of(event.object)) for event in events] == [("ADDED", "a"), ("ADDED", "c")]


async def test_a_watch_from_a_list_s_version_misses_nothing_and_repeats_nothing(world: World) -> None:
    await make_labelled(world)
    version = (await world.client.list(CONFIG_MAP, world.namespace, labels="suite=x")).resource_version
    await world.merge(CONFIG_MAP, "a", {"data": {"k": "new"}})
    await world.delete(CONFIG_MAP, "b")
    await world.client.create(world.config_map("d", {}, labels={"suite": "x"}), options())
    query = {"labels": "suite=x", "resource_version": version}
    events = await read_events(world.client, CONFIG_MAP, world.namespace, 3, **query)
    assert [(event.type, name_of(event.object)) for event in events] == [
        ("MODIFIED", "a"),
        ("DELETED", "b"),
        ("ADDED", "d"),
    ]


async def test_a_watch_resumes_after_the_version_of_any_event(world: World) -> None:
    version = (await world.client.list(CONFIG_MAP, world.namespace)).resource_version
    await make_labelled(world)
    query = {"resource_version": version, "labels": "suite=x"}
    first = (await read_events(world.client, CONFIG_MAP, world.namespace, 1, **query))[0]
    query["resource_version"] = first.object["metadata"]["resourceVersion"]
    rest = await read_events(world.client, CONFIG_MAP, world.namespace, 2, **query)
    assert [name_of(event.object) for event in (first, *rest)] == ["a", "b", "c"]


async def test_crossing_a_selector_is_an_addition_or_a_deletion(world: World) -> None:
    version = (await world.client.list(CONFIG_MAP, world.namespace)).resource_version
    await world.client.create(world.config_map("a", {"k": "1"}, labels={"tier": "back"}), options())
    await world.merge(CONFIG_MAP, "a", {"metadata": {"labels": {"tier": "front"}}})
    await world.merge(CONFIG_MAP, "a", {"data": {"k": "2"}})
    await world.merge(CONFIG_MAP, "a", {"metadata": {"labels": {"tier": "back"}}})
    query = {"labels": "tier=front", "resource_version": version}
    events = await read_events(world.client, CONFIG_MAP, world.namespace, 3, **query)
    assert [event.type for event in events] == [EventType.ADDED, EventType.MODIFIED, EventType.DELETED]
    assert events[2].object["data"] == {"k": "2"}


async def test_a_deletion_event_has_the_last_state_at_the_version_of_the_deletion(world: World) -> None:
    created = await world.client.create(world.config_map(data={"a": "1"}), options())
    version = created["metadata"]["resourceVersion"]
    await world.delete(CONFIG_MAP, "settings")
    query = {"resource_version": version, "fields": "metadata.name=settings"}
    event = (await read_events(world.client, CONFIG_MAP, world.namespace, 1, **query))[0]
    assert (event.type, event.object["data"]) == ("DELETED", {"a": "1"})
    assert event.object["metadata"]["resourceVersion"] != version


async def test_a_watch_waits_for_changes_to_come(world: World) -> None:
    version = (await world.client.list(CONFIG_MAP, world.namespace)).resource_version
    query = {"resource_version": version, "labels": "suite=x"}
    reading = asyncio.create_task(read_events(world.client, CONFIG_MAP, world.namespace, 1, **query))
    await asyncio.sleep(0)
    await world.client.create(world.config_map(labels={"suite": "x"}), options())
    assert [name_of(event.object) for event in await reading] == ["settings"]


async def test_a_closed_watch_ends(world: World) -> None:
    watch: Any = world.client.watch(CONFIG_MAP, world.namespace)
    await watch.aclose()
    assert [event async for event in watch] == []


async def test_cluster_scoped_objects_are_read_without_a_namespace(world: World) -> None:
    namespace = await world.client.get(NAMESPACE, world.namespace)
    assert namespace["metadata"]["labels"]["kubernetes.io/metadata.name"] == world.namespace
    assert namespace["status"]["phase"] == "Active"


async def test_deleting_what_does_not_exist_is_not_found(world: World) -> None:
    with pytest.raises(ApiNotFoundError, match=r'^configmaps "settings" not found$'):
        await world.client.delete(CONFIG_MAP, "settings", world.namespace, DeleteOptions())
