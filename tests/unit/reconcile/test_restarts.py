"""The reconciler ends at any request, in any way: what comes after it finishes the work."""

from pathlib import Path

import pytest

from fakes.failing_client import FailingClient
from fakes.reconciling import World, config, namespace, sensor_image, stateful_set
from towpath.kube.objects import GVK
from towpath.reconcile.status import Sync

CONFIG_MAP = GVK("", "v1", "ConfigMap")
FIRST = (namespace(), config("kept", level="high"), config("dropped"), stateful_set("1"))
SECOND = (
    namespace(),
    namespace("more"),
    config("kept", level="low"),
    config("new", namespace="more"),
    stateful_set("2"),
)


@pytest.fixture
async def settled(world: World) -> World:
    world.desire(*FIRST)
    await world.start()
    await world.reconciler.close()
    return world


async def requests_of_second(world: World) -> int:
    client = FailingClient(world.cluster)
    world.desire(*SECOND, revision="b")
    world.reconciler = world.new_reconciler(client)
    await world.start()
    return client.requests


async def check_second(world: World) -> None:
    status = world.status()
    assert (status.ready, status.sync, status.problem, status.prune_problem) == (True, Sync.SYNCED, None, None)
    assert (await world.workloads.fresh(config("kept")))["data"] == {"level": "low"}
    assert await world.exists(config("new", namespace="more"))
    assert not await world.exists(config("dropped"))
    pods = await world.workloads.pods()
    assert [pod["spec"]["containers"][0]["image"] for pod in pods] == [sensor_image("2")]


async def test_the_second_release_takes_a_known_number_of_requests(settled: World) -> None:
    assert await requests_of_second(settled) > 10
    await check_second(settled)


@pytest.mark.parametrize("last", range(1, 36))
@pytest.mark.parametrize("answered", [True, False], ids=["after the request", "before the request"])
async def test_a_crash_at_any_request_is_made_good_by_the_next_start(
    settled: World, last: int, *, answered: bool
) -> None:
    client = FailingClient(settled.cluster, last=last, answered=answered)
    settled.desire(*SECOND, revision="b")
    settled.reconciler = settled.new_reconciler(client)
    await settled.start()
    await settled.restart()
    await check_second(settled)


@pytest.mark.parametrize("failing", range(1, 28, 2))
async def test_a_failed_request_is_made_good_by_the_next_try(settled: World, failing: int) -> None:
    client = FailingClient(settled.cluster, failing=failing)
    settled.desire(*SECOND, revision="b")
    settled.reconciler = settled.new_reconciler(client)
    await settled.start()
    for _ in range(2):  # the failure may hit the first of them
        settled.reconciler.trigger("dev", "again")
        await settled.settle()
    assert settled.status().drift == ()
    await check_second(settled)


async def test_objects_are_remembered_for_pruning_whatever_happened_in_between(world: World) -> None:
    world.desire(namespace(), config("one"))
    for last in range(1, 20):
        # Each life gets a little further; none of them may apply what it would not find again.
        world.reconciler = world.new_reconciler(FailingClient(world.cluster, last=last))
        await world.start()
        await world.reconciler.close()
        applied = [obj for obj in await world.workloads.all(CONFIG_MAP) if obj["metadata"]["name"] == "one"]
        if applied:
            break
    world.desire(namespace(), config("two"), revision="b")
    world.reconciler = world.new_reconciler()
    await world.start()
    assert not await world.exists(config("one"))


async def test_the_cluster_may_be_gone_for_good(tmp_path: Path) -> None:
    world = await World.open(tmp_path / "first")
    world.desire(*FIRST)
    await world.start()
    await world.close()
    fresh = await World.open(tmp_path / "second")
    fresh.desire(*FIRST)
    await fresh.start()
    assert fresh.status().ready
    await fresh.close()
