import asyncio
import gc
from collections.abc import Callable

import pytest

from fakes.clock import VirtualClock
from fakes.manifests import CONFIG_MAP, config_map, namespace, options
from towpath.cluster.kernel import Kernel
from towpath.cluster.kernel.log import RETAINED_REVISIONS, TRIM_EVERY
from towpath.cluster.kernel.watch import PENDING_CHANGES
from towpath.kube.errors import BadRequestError, ExpiredError
from towpath.kube.objects import key_of, name_of
from towpath.kube.requests import DeleteOptions, EventType, Patch, PatchType


def write(kernel: Kernel, name: str, value: str = "") -> str:
    return str(kernel.create(config_map(name, {"v": value}), options()).object["metadata"]["resourceVersion"])


def flood(kernel: Kernel, count: int) -> None:
    """Many changes of one object, past the API to save time."""
    obj = config_map("flood", uid="uid-flood")
    with kernel._store.transaction():
        for _ in range(count):
            kernel._store.put(key_of(obj), obj)


async def test_existing_objects_are_followed_by_the_bookmark_that_says_so(kernel: Kernel) -> None:
    write(kernel, "a")
    events = kernel.watch(CONFIG_MAP, bookmarks=True)
    assert (await anext(events)).type == EventType.ADDED
    bookmark = await anext(events)
    assert (bookmark.type, bookmark.object["kind"]) == (EventType.BOOKMARK, "ConfigMap")
    assert bookmark.object["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert bookmark.object["metadata"]["resourceVersion"] == str(kernel.revision)


async def test_a_bookmark_comes_every_minute_of_silence(kernel: Kernel, clock: VirtualClock) -> None:
    events = kernel.watch(CONFIG_MAP, resource_version=str(kernel.revision), bookmarks=True)
    reading = asyncio.ensure_future(anext(events))
    await clock.advance(59)
    assert not reading.done()
    await clock.advance(1)
    assert (await reading).type == EventType.BOOKMARK
    reading = asyncio.ensure_future(anext(events))
    await clock.settle()
    write(kernel, "a")
    assert (await reading).type == EventType.ADDED
    assert clock.sleepers == 0


async def test_a_cancelled_read_loses_no_event(kernel: Kernel) -> None:
    events = kernel.watch(CONFIG_MAP)
    reading = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    write(kernel, "a")
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert name_of((await anext(events)).object) == "a"


async def test_two_readers_get_copies_of_their_own(kernel: Kernel) -> None:
    first, second = kernel.watch(CONFIG_MAP), kernel.watch(CONFIG_MAP)
    write(kernel, "a", "1")
    (await anext(first)).object["data"]["v"] = "changed"
    assert (await anext(second)).object["data"] == {"v": "1"}


async def test_a_reader_that_falls_behind_is_dropped_and_told_to_list_again(
    kernel: Kernel,
) -> None:
    slow, other = kernel.watch(CONFIG_MAP), kernel.watch(CONFIG_MAP, fields="metadata.name=else")
    flood(kernel, PENDING_CHANGES + 1)
    with pytest.raises(ExpiredError):
        await anext(slow)
    assert kernel._hub.count == 1
    write(kernel, "else")
    assert name_of((await anext(other)).object) == "else"


async def test_a_version_that_is_no_longer_known_has_expired(kernel: Kernel) -> None:
    first = write(kernel, "first")
    flood(kernel, RETAINED_REVISIONS + TRIM_EVERY)
    with pytest.raises(ExpiredError, match=rf"too old resource version: {first} \("):
        kernel.watch(CONFIG_MAP, resource_version=first)
    assert kernel._hub.count == 0


async def test_a_version_of_another_life_has_expired(kernel: Kernel) -> None:
    with pytest.raises(ExpiredError, match="Too large resource version"):
        kernel.watch(CONFIG_MAP, resource_version=str(kernel.revision + 1))


async def test_a_version_that_is_no_number_is_refused(kernel: Kernel) -> None:
    with pytest.raises(BadRequestError, match='Invalid value: "latest"'):
        kernel.watch(CONFIG_MAP, resource_version="latest")


async def test_a_watch_survives_a_restart_by_its_version(open_kernel: Callable[[], Kernel]) -> None:
    kernel = open_kernel()
    version = write(kernel, "a")
    write(kernel, "b")
    kernel.delete(CONFIG_MAP, "a", "default", DeleteOptions())
    kernel.close()
    events = open_kernel().watch(CONFIG_MAP, resource_version=version)
    assert [((await anext(events)).type) for _ in range(2)] == ["ADDED", "DELETED"]


async def test_closing_unsubscribes_and_ends_a_waiting_reader(kernel: Kernel) -> None:
    events = kernel.watch(CONFIG_MAP)
    reading = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    await events.aclose()
    with pytest.raises(StopAsyncIteration):
        await reading
    assert kernel._hub.count == 0


async def test_a_watch_that_nobody_holds_is_unsubscribed(kernel: Kernel) -> None:
    events = kernel.watch(CONFIG_MAP)
    assert kernel._hub.count == 1
    del events
    gc.collect()
    assert kernel._hub.count == 0


async def test_closing_the_kernel_ends_every_watch(open_kernel: Callable[[], Kernel]) -> None:
    kernel = open_kernel()
    events = kernel.watch(CONFIG_MAP)
    kernel.close()
    assert [event async for event in events] == []


async def test_other_namespaces_and_kinds_are_not_delivered(kernel: Kernel) -> None:
    events = kernel.watch(CONFIG_MAP, "default")
    kernel.create(namespace("other"), options())
    kernel.create(config_map("elsewhere", namespace="other"), options())
    write(kernel, "here")
    assert name_of((await anext(events)).object) == "here"


async def test_a_refused_or_dry_write_is_not_delivered(kernel: Kernel) -> None:
    events = kernel.watch(CONFIG_MAP)
    kernel.create(config_map("dry"), options(dry_run=True))
    write(kernel, "real")
    assert name_of((await anext(events)).object) == "real"


async def test_field_selectors_cross_borders_too(kernel: Kernel) -> None:
    events = kernel.watch(CONFIG_MAP, fields="data.v=on")
    write(kernel, "a", "on")
    kernel.patch(CONFIG_MAP, "a", "default", Patch(PatchType.MERGE, {"data": {"v": "off"}}), options())
    added, deleted = await anext(events), await anext(events)
    assert (added.type, deleted.type, deleted.object["data"]) == ("ADDED", "DELETED", {"v": "on"})
    assert deleted.object["metadata"]["resourceVersion"] == str(kernel.revision)
