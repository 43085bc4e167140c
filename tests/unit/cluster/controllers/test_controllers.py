"""All controllers together: killed between any two writes, in conflict with others, at rest, and closed."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count

import pytest

import towpath.cluster.controllers
from fakes.workloads import NAMESPACE, POD, Workloads, images, template, v1, workload
from towpath.cluster.client import EmbeddedClient
from towpath.cluster.controllers import Controllers
from towpath.cluster.kernel import Kernel
from towpath.kube.errors import ApiConflictError
from towpath.kube.objects import GVK, Object, find_path
from towpath.kube.requests import ObjectList

PORTS = [{"port": 80, "targetPort": 8080}]


def everything() -> list[Object]:
    """One of each workload, each with pods that can become ready, and a Service."""
    job_template = template("backup:1", "backup", restartPolicy="Never")
    job = {"completions": 2, "parallelism": 2, "backoffLimit": 3, "template": job_template}
    return [
        workload("Deployment", "web", image="web:1", replicas=2),
        workload("StatefulSet", "sensor", image="sensor:1", replicas=2, serviceName="sensor"),
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "backup", "namespace": NAMESPACE},
            "spec": job,
        },
        v1("Service", "web", spec={"selector": {"app": "web"}, "ports": PORTS}),
    ]


async def change_everything(cluster: Workloads, objects: list[Object]) -> None:
    for obj, image in zip(objects[:2], ("web:2", "sensor:2"), strict=True):
        containers = [{"name": "main", "image": image}]
        await cluster.change(obj, {"spec": {"template": {"spec": {"containers": containers}}}})


def hang_at(number: int) -> Callable[[], Awaitable[None]]:
    """From the write of that number on, nothing is written any more: the moment of a crash."""
    writes = count(1)

    async def before_write() -> None:
        if next(writes) >= number:
            await asyncio.Event().wait()

    return before_write


async def restart(cluster: Workloads) -> None:
    # A dead process writes no last events either: what is pending hangs until it is cancelled.
    closing = asyncio.create_task(cluster.stop_controllers())
    await cluster.clock.settle()
    closing.cancel()
    await asyncio.gather(closing, return_exceptions=True)
    cluster.troubled.before_write = hang_at(10**9)
    await cluster.restart_controllers()


async def check(cluster: Workloads, objects: list[Object]) -> None:
    web, sensor, backup, _ = [await cluster.fresh(obj) for obj in objects]
    assert find_path(web, "status", "availableReplicas") == 2
    assert find_path(web, "status", "updatedReplicas") == 2
    assert find_path(sensor, "status", "readyReplicas") == 2
    assert find_path(sensor, "status", "currentRevision") == find_path(sensor, "status", "updateRevision")
    assert find_path(backup, "status", "active") == 2
    assert sorted(images(await cluster.pods())) == ["backup:1"] * 2 + ["sensor:2"] * 2 + ["web:2"] * 2


@pytest.mark.parametrize("number", range(1, 60, 2))
async def test_a_crash_before_any_write_of_a_rollout_is_made_good(cluster: Workloads, number: int) -> None:
    objects = [await cluster.create(obj) for obj in everything()]
    await cluster.run()
    cluster.troubled.before_write = hang_at(number)
    await change_everything(cluster, objects)
    for _ in range(20):
        await cluster.clock.settle()
        await cluster.kubelet.step()
    await restart(cluster)
    await cluster.run()
    await check(cluster, objects)


@pytest.mark.parametrize("number", range(1, 30, 3))
async def test_a_crash_before_any_write_of_a_first_deployment_is_made_good(cluster: Workloads, number: int) -> None:
    cluster.troubled.before_write = hang_at(number)
    objects = [await cluster.create(obj) for obj in everything()]
    for _ in range(20):
        await cluster.clock.settle()
        await cluster.kubelet.step()
    await restart(cluster)
    await change_everything(cluster, objects)
    await cluster.run()
    await check(cluster, objects)


@pytest.mark.parametrize("every", [3, 5, 7])
async def test_writes_that_lose_a_race_are_tried_again_until_all_is_well(cluster: Workloads, every: int) -> None:
    writes = count(1)

    async def lose_some() -> None:
        if next(writes) % every == 0:
            raise ApiConflictError("the object has been modified")

    cluster.troubled.before_write = lose_some
    objects = [await cluster.create(obj) for obj in everything()]
    await cluster.run()
    await change_everything(cluster, objects)
    await cluster.run()
    await check(cluster, objects)


async def test_a_cluster_at_rest_costs_no_write_however_long_it_rests(cluster: Workloads) -> None:
    for obj in everything():
        await cluster.create(obj)
    await cluster.run()
    revision = cluster.kernel.revision
    await cluster.advance(86_400)
    assert cluster.kernel.revision == revision
    assert cluster.controllers.is_idle


async def test_closed_controllers_leave_nothing_running(cluster: Workloads) -> None:
    for obj in everything():
        await cluster.create(obj)
    await cluster.clock.settle()
    await cluster.stop_controllers()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert cluster.clock.sleepers == 0


class LateLists(EmbeddedClient):
    """Lists of pods come only when they are let through."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel)
        self.let_through = asyncio.Event()

    async def list(self, gvk: GVK, namespace: str = "", *, labels: str = "", fields: str = "") -> ObjectList:
        """As the kernel does it, in time."""
        if gvk == POD:
            await self.let_through.wait()
        return await super().list(gvk, namespace, labels=labels, fields=fields)


async def test_nothing_is_decided_before_every_cache_is_filled(cluster: Workloads) -> None:
    for obj in everything():
        await cluster.create(obj)
    await cluster.run()
    before = await cluster.pod_names()
    await cluster.stop_controllers()
    client = LateLists(cluster.kernel)
    cluster.controllers = Controllers(client, clock=cluster.clock, random_suffix=lambda: "extra")
    starting = asyncio.create_task(cluster.controllers.start())
    await cluster.clock.settle()
    client.let_through.set()
    await starting
    await cluster.run()
    assert await cluster.pod_names() == before


def test_the_package_offers_the_controllers_and_nothing_else() -> None:
    assert towpath.cluster.controllers.__all__ == ["Controllers"]
