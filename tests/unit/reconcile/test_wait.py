import pytest

from fakes.reconciling import World, namespace, stateful_set
from towpath.errors import NotFoundError, RemoteError
from towpath.reconcile.wait import wait_until


async def test_a_state_that_is_reached_already_needs_no_waiting(world: World) -> None:
    world.desire(namespace())
    await world.start()
    status = await wait_until(world.reconciler, "dev", lambda one: one.ready, timeout_seconds=1)
    assert status.ready


async def test_a_wait_that_runs_out_says_how_things_stand(world: World) -> None:
    image = stateful_set("1")["spec"]["template"]["spec"]["containers"][0]["image"]
    world.workloads.kubelet.broken.add(image)
    world.desire(namespace(), stateful_set("1"))
    await world.start()
    with pytest.raises(RemoteError, match="Synced and Degraded: StatefulSet/dev/sensor: pod sensor-0") as caught:
        await wait_until(world.reconciler, "dev", lambda one: one.ready, timeout_seconds=0.05)
    assert caught.value.hint == "`towpath explain dev` says why"


async def test_an_unknown_environment_is_not_waited_for(world: World) -> None:
    with pytest.raises(NotFoundError):
        await wait_until(world.reconciler, "qa", lambda one: one.ready, timeout_seconds=1)
