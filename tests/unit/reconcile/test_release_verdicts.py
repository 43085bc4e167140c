"""Verdicts on releases that run on a real kernel."""

from fakes.reconciling import World, commit, digest, healthy_seconds, namespace, sensor_image, stateful_set
from towpath.reconcile.verdicts import Outcome, Verdict


def verdict(world: World, letter: str = "1") -> Verdict:
    found = world.reconciler.verdicts.find("dev", "sensor", digest(letter))
    assert found is not None
    return found


async def test_a_healthy_release_soaks_from_its_last_pods_readiness(world: World) -> None:
    world.desire(namespace(), stateful_set("1", replicas=2))
    await world.start()
    await world.clock.advance(90)
    assert healthy_seconds(verdict(world), world.clock.now()) == 90
    assert world.status().services["sensor"].verdict == verdict(world)


async def test_an_unready_pod_interrupts_the_soak(world: World) -> None:
    world.desire(namespace(), stateful_set("1", replicas=2))
    await world.start()
    await world.clock.advance(90)
    (pod, _) = await world.workloads.pods()
    await world.workloads.kubelet.set_ready(pod, ready=False)
    await world.settle()
    assert healthy_seconds(verdict(world), world.clock.now()) == 0
    await world.workloads.kubelet.set_ready(pod, ready=True)
    await world.settle()
    await world.clock.advance(10)
    assert healthy_seconds(verdict(world), world.clock.now()) == 10


async def test_a_replaced_pod_interrupts_the_soak(world: World) -> None:
    world.desire(namespace(), stateful_set("1"))
    await world.start()
    await world.clock.advance(90)
    (pod,) = await world.workloads.pods()
    await world.workloads.delete(pod)
    await world.settle()
    await world.clock.advance(5)
    assert healthy_seconds(verdict(world), world.clock.now()) == 5


async def test_a_restart_of_the_reconciler_keeps_the_soak_of_pods_that_kept_running(world: World) -> None:
    world.desire(namespace(), stateful_set("1"))
    await world.start()
    await world.clock.advance(90)
    await world.restart()
    assert healthy_seconds(verdict(world), world.clock.now()) == 90


async def test_a_pod_that_failed_while_nobody_looked_is_noticed(world: World) -> None:
    world.desire(namespace(), stateful_set("1"))
    await world.start()
    await world.reconciler.close()
    await world.clock.advance(90)
    (pod,) = await world.workloads.pods()
    await world.workloads.kubelet.set_ready(pod, ready=False)
    await world.workloads.kubelet.set_ready(pod, ready=True)
    await world.clock.advance(10)
    world.reconciler = world.new_reconciler()
    await world.start()
    assert healthy_seconds(verdict(world), world.clock.now()) == 10


async def test_a_bad_release_and_its_way_back_are_on_record(world: World) -> None:
    world.desire(namespace(), stateful_set("1"))
    await world.start()
    world.workloads.kubelet.broken.add(sensor_image("2"))
    await world.push(namespace(), stateful_set("2"), revision="b")
    assert verdict(world, "2").outcome is Outcome.DEGRADED
    assert "ErrImagePull" in verdict(world, "2").reason
    await world.push(namespace(), stateful_set("1"), revision="c")
    assert verdict(world, "1").outcome is Outcome.HEALTHY
    assert sorted(world.notes.lines) == [commit("1"), commit("2")]


async def test_an_idle_healthy_release_writes_one_note(world: World) -> None:
    world.desire(namespace(), stateful_set("1"))
    await world.start()
    for _ in range(5):
        await world.clock.advance(60)
        world.reconciler.trigger("dev", "timer")
        await world.settle()
    assert [len(lines) for lines in world.notes.lines.values()] == [1]
