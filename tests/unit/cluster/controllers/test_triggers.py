"""Which keys a change wakes."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from fakes.clock import VirtualClock
from towpath.cluster.controllers.informer import NamespacedName
from towpath.cluster.controllers.loop import ControlLoop
from towpath.cluster.controllers.triggers import add_changed, add_controllers
from towpath.kube.objects import GVK, Object

REPLICA_SET = GVK("apps", "v1", "ReplicaSet")


class Woken:
    """A loop that writes down which keys it was given."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.keys: list[NamespacedName] = []
        self.loop = ControlLoop("test", self.reconcile, clock=self.clock)

    async def reconcile(self, key: NamespacedName) -> float | None:
        self.keys.append(key)
        return None


@pytest.fixture
async def woken() -> AsyncIterator[Woken]:
    made = Woken()
    made.loop.start()
    yield made
    await made.loop.close()


def pod(name: str, owner: dict[str, Any] | None = None) -> Object:
    references = {"ownerReferences": [{"controller": True, "uid": "1", **owner}]} if owner else {}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "dev", **references}}


async def test_what_changed_is_looked_at_also_when_it_is_gone(woken: Woken) -> None:
    listen = add_changed(woken.loop)
    listen(None, pod("new"))
    listen(pod("gone"), None)
    await woken.clock.settle()
    assert woken.keys == [NamespacedName("dev", "new"), NamespacedName("dev", "gone")]


async def test_the_controller_of_before_and_of_after_are_looked_at_if_they_are_of_the_kind(woken: Woken) -> None:
    listen = add_controllers(woken.loop, REPLICA_SET)
    one, two = ({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name} for name in ("one", "two"))
    listen(pod("p", one), pod("p", two))
    listen(None, pod("q", {"apiVersion": "batch/v1", "kind": "Job", "name": "three"}))
    listen(None, pod("r"))
    await woken.clock.settle()
    assert woken.keys == [NamespacedName("dev", "one"), NamespacedName("dev", "two")]
