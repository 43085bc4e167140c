"""The loop of a controller, and the expectations that hold it back."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from fakes.clock import VirtualClock
from towpath.cluster.controllers.expectations import EXPIRY_SECONDS, Expectations
from towpath.cluster.controllers.informer import Informer, NamespacedName
from towpath.cluster.controllers.loop import ControlLoop
from towpath.kube.errors import ApiConflictError
from towpath.kube.objects import GVK, Object
from towpath.kube.requests import ObjectList, WatchEvent

KEY = NamespacedName("dev", "sensor")
KIND = GVK("", "v1", "Pod")


class Script:
    """A reconcile whose answers are given in advance: seconds, None or an error."""

    def __init__(self, *answers: float | Exception | None) -> None:
        self.answers = list(answers)
        self.calls = 0

    async def __call__(self, key: NamespacedName) -> float | None:
        assert key == KEY
        self.calls += 1
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer


async def run(script: Script, clock: VirtualClock) -> ControlLoop:
    loop = ControlLoop("test", script, clock=clock)
    loop.start()
    loop.add(KEY)
    await clock.settle()
    return loop


async def test_a_key_is_looked_at_again_when_its_time_has_come() -> None:
    clock, script = VirtualClock(), Script(30.0)
    loop = await run(script, clock)
    await clock.advance(29)
    assert script.calls == 1
    await clock.advance(1)
    assert script.calls == 2
    assert clock.sleepers == 0
    await loop.close()


async def test_a_later_answer_replaces_the_alarm_of_an_earlier_one() -> None:
    clock, script = VirtualClock(), Script(30.0, None)
    loop = await run(script, clock)
    loop.add(KEY)
    await clock.advance(60)
    assert script.calls == 2
    await loop.close()


async def test_a_failed_key_comes_back_and_the_loop_is_not_idle_until_it_succeeds() -> None:
    clock, script = VirtualClock(), Script(ApiConflictError("modified"), ValueError("a fault"))
    loop = await run(script, clock)
    was_idle = loop.is_idle
    async with asyncio.timeout(120):
        while not loop.is_idle:
            await clock.settle()
    assert (was_idle, script.calls) == (False, 3)
    await loop.close()


async def test_a_closed_loop_has_no_alarms_left() -> None:
    clock, script = VirtualClock(), Script(30.0)
    loop = await run(script, clock)
    await loop.close()
    await clock.advance(60)
    assert script.calls == 1


class Shelf:
    """A reader that lists what the test put on it; its watches end at once."""

    def __init__(self) -> None:
        self.items: list[Object] = []
        self.version = "0"

    async def get(self, gvk: GVK, name: str, namespace: str = "") -> Object:
        raise NotImplementedError

    async def list(self, gvk: GVK, namespace: str = "") -> ObjectList:
        assert (gvk, namespace) == (KIND, "")
        return ObjectList(self.items, self.version)

    async def watch(self, gvk: GVK, namespace: str = "", *, resource_version: str = "") -> AsyncIterator[WatchEvent]:
        assert (gvk, namespace, resource_version) == (KIND, "", self.version)
        nothing: list[WatchEvent] = []
        for event in nothing:
            yield event


def pod(version: int, uid: str = "u1", **metadata: str) -> Object:
    return {"metadata": {"namespace": "dev", "name": "p", "uid": uid, "resourceVersion": str(version), **metadata}}


async def shown(reader: Shelf, cache: Informer, version: int, *items: Object) -> None:
    reader.items, reader.version = list(items), str(version)
    await cache.run()


async def test_a_key_waits_until_the_cache_has_seen_what_was_written() -> None:
    reader, clock = Shelf(), VirtualClock()
    cache, script = Informer(reader, KIND), Script()
    loop = ControlLoop("test", script, clock=clock)
    loop.start()
    loop.expectations.expect_written(KEY, cache, pod(7))
    loop.add(KEY)
    await clock.settle()
    assert script.calls == 0
    await shown(reader, cache, 7, pod(7))
    loop.add(KEY)
    await clock.settle()
    assert script.calls == 1
    await loop.close()


async def test_a_write_that_is_never_shown_holds_a_key_back_only_so_long() -> None:
    clock, script = VirtualClock(), Script()
    loop = ControlLoop("test", script, clock=clock)
    loop.start()
    loop.expectations.expect_written(KEY, Informer(Shelf(), KIND), pod(7))
    loop.add(KEY)
    await clock.advance(EXPIRY_SECONDS - 1)
    assert script.calls == 0
    await clock.advance(1)
    assert script.calls == 1
    await loop.close()


async def test_what_the_cache_has_seen_already_is_not_waited_for() -> None:
    reader, expectations = Shelf(), Expectations(VirtualClock())
    cache = Informer(reader, KIND)
    await shown(reader, cache, 9)
    expectations.expect_written(KEY, cache, pod(7))
    assert expectations.wait_seconds(KEY) == 0


@pytest.mark.parametrize(
    "afterwards",
    [[], [pod(8, uid="u2")], [pod(8, deletionTimestamp="2026-01-31T09:30:00Z")]],
    ids=["gone", "replaced by a namesake", "terminating"],
)
async def test_a_deletion_is_seen_when_the_pod_is(afterwards: list[Object]) -> None:
    reader, expectations = Shelf(), Expectations(VirtualClock())
    cache = Informer(reader, KIND)
    await shown(reader, cache, 7, pod(7))
    expectations.expect_deleted(KEY, cache, pod(7))
    assert expectations.wait_seconds(KEY) > 0
    await shown(reader, cache, 8, *afterwards)
    assert expectations.wait_seconds(KEY) == 0
