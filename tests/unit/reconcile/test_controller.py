from fakes.reconciling import World, config, namespace, stateful_set
from towpath.kube.health import Health
from towpath.reconcile.status import Sync


async def test_what_git_wants_is_created_and_becomes_healthy(world: World) -> None:
    world.desire(namespace(), config(level="high"), stateful_set("1"))
    await world.start()
    status = world.status()
    assert (status.sync, status.health, status.ready) == (Sync.SYNCED, Health.HEALTHY, True)
    assert status.applied_revision == "a" * 40
    assert status.services["sensor"].live_digests == {"sha256:" + "1" * 64: 1}


async def test_nothing_to_do_writes_nothing(world: World) -> None:
    world.desire(namespace(), config(level="high"), stateful_set("1"))
    await world.start()
    before = await world.writes()
    world.reconciler.trigger("dev", "timer")
    await world.settle()
    assert await world.writes() == before
    assert world.counts.results[-1] == ("dev", "unchanged")


async def test_a_new_release_is_rolled_out(world: World) -> None:
    world.desire(namespace(), stateful_set("1"))
    await world.start()
    await world.push(namespace(), stateful_set("2"), revision="b")
    status = world.status()
    assert status.ready
    assert status.services["sensor"].live_digests == {"sha256:" + "2" * 64: 1}
    assert ("dev", "b", "ready") in world.stamps.stamped
