import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fakes.clock import VirtualClock
from fakes.container_runs import FakeImages, FakeRuntime
from fakes.node_world import RecordedEvents
from towpath.cluster.node.pod.volumes import MountError
from towpath.cluster.node.pod.worker import PodWorker
from towpath.kube.errors import ApiConflictError, ApiError, ApiNotFoundError
from towpath.kube.objects import GVK, Object
from towpath.kube.requests import DeleteOptions, Patch, WriteOptions
from towpath.oci.keyring import Keyring

IMAGE = "registry.test/app:v1"


class Place:
    """Satisfies `worker.PodPlace`."""

    def __init__(self, runtime: FakeRuntime) -> None:
        self.runtime = runtime
        self.refusals: list[Exception] = []
        self.refreshed = 0
        self.torn_down = False

    async def set_up(self) -> str:
        if self.refusals:
            raise self.refusals.pop(0)
        return "10.42.0.2"

    async def refresh(self) -> None:
        self.refreshed += 1

    async def keyring(self) -> Keyring:
        return Keyring()

    async def tear_down(self) -> None:
        self.torn_down = True


class Api:
    """Satisfies `worker.PodWriter`."""

    def __init__(self) -> None:
        self.status: dict[str, Any] = {}
        self.writes = 0
        self.deleted: list[DeleteOptions] = []
        self.refusals: list[ApiError] = []

    async def patch(self, _gvk: GVK, _name: str, _namespace: str, patch: Patch, options: WriteOptions) -> Object:
        if self.refusals:
            raise self.refusals.pop(0)
        assert options.subresource == "status"
        assert isinstance(patch.body, dict)
        assert patch.body["metadata"] == {"uid": "u"}
        self.status |= patch.body["status"]
        self.writes += 1
        return {}

    async def delete(self, _gvk: GVK, _name: str, _namespace: str, options: DeleteOptions) -> None:
        self.deleted.append(options)
        if self.refusals:
            raise self.refusals.pop(0)


class World:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.runtime = FakeRuntime()
        self.place = Place(self.runtime)
        self.api = Api()
        self.events = RecordedEvents()
        self.tasks: list[asyncio.Task[None]] = []

    def begin(self, pod: Object) -> PodWorker:
        worker = PodWorker(
            pod,
            self.place,
            client=self.api,
            images=FakeImages(present={IMAGE}),
            events=self.events,
            clock=self.clock,
        )
        self.tasks.append(asyncio.create_task(worker.run()))
        return worker

    def state(self, position: int = 0, field: str = "containerStatuses") -> dict[str, Any]:
        found: dict[str, Any] = self.api.status[field][position]["state"]
        return found


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    for task in made.tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def pod(*names: str, init: tuple[str, ...] = (), status: dict[str, Any] | None = None, **spec: Any) -> Object:
    containers = [{"name": name, "image": IMAGE} for name in names or ("app",)]
    first = [{"name": name, "image": IMAGE} for name in init]
    return {
        "metadata": {"name": "web", "namespace": "dev", "uid": "u"},
        "spec": {"containers": containers, **({"initContainers": first} if first else {}), **spec},
        "status": status or {},
    }


def deleted(obj: Object, grace: int) -> Object:
    marks = {"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": grace}
    return {**obj, "metadata": {**obj["metadata"], **marks}}


async def test_a_pod_runs_and_says_so(world: World) -> None:
    world.begin(pod())
    await world.clock.settle()
    assert world.api.status["phase"] == "Running"
    assert world.api.status["podIP"] == "10.42.0.2"
    assert "running" in world.state()


async def test_nothing_is_written_while_nothing_changes(world: World) -> None:
    world.begin(pod())
    await world.clock.settle()
    writes = world.api.writes
    await world.clock.advance(3600)
    assert world.api.writes == writes


async def test_a_volume_that_is_not_ready_is_told_and_tried_again(world: World) -> None:
    world.place.refusals = [MountError('MountVolume.SetUp failed for volume "v" : no')]
    world.begin(pod())
    await world.clock.settle()
    assert world.state() == {
        "waiting": {"reason": "ContainerCreating", "message": 'MountVolume.SetUp failed for volume "v" : no'}
    }
    assert world.events.said[0][0] == "FailedMount"
    await world.clock.advance(2)
    assert "running" in world.state()


async def test_init_containers_run_in_order_before_the_others(world: World) -> None:
    world.begin(pod("app", "side", init=("one", "two")))
    await world.clock.settle()
    assert world.runtime.started == [("one", 0)]
    assert world.state() == {"waiting": {"reason": "PodInitializing"}}
    world.runtime.runs[0].end(0)
    await world.clock.settle()
    assert world.runtime.started[-1] == ("two", 0)
    world.runtime.runs[1].end(0)
    await world.clock.settle()
    assert sorted(world.runtime.started[2:]) == [("app", 0), ("side", 0)]
    assert world.api.status["phase"] == "Running"


async def test_a_failing_init_container_is_restarted_and_the_others_wait(world: World) -> None:
    world.begin(pod(init=("one",)))
    await world.clock.settle()
    world.runtime.runs[0].end(1)
    await world.clock.settle()
    assert world.runtime.started == [("one", 0), ("one", 1)]
    assert world.api.status["phase"] == "Pending"


async def test_a_failed_init_container_of_a_pod_that_never_restarts_fails_the_pod(world: World) -> None:
    world.begin(pod(init=("one",), restartPolicy="Never"))
    await world.clock.settle()
    world.runtime.runs[0].end(1)
    await world.clock.settle()
    assert world.api.status["phase"] == "Failed"
    assert len(world.runtime.runs) == 1


async def test_a_deleted_pod_is_stopped_recorded_and_deleted_for_good(world: World) -> None:
    worker = world.begin(pod("app", "side"))
    await world.clock.settle()
    worker.update(deleted(pod("app", "side"), 9))
    await world.clock.settle()
    assert [run.grace for run in world.runtime.runs] == [9, 9]
    assert all("terminated" in world.state(position) for position in (0, 1))
    assert world.place.torn_down
    assert world.api.deleted == [DeleteOptions(grace_period_seconds=0, uid="u")]


async def test_a_pod_deleted_before_its_network_was_there_goes_at_once(world: World) -> None:
    world.place.refusals = [MountError("volume")] * 100
    worker = world.begin(pod())
    await world.clock.settle()
    worker.update(deleted(pod(), 30))
    await world.clock.settle()
    assert world.tasks[0].done()


async def test_a_pod_whose_object_vanished_is_killed_and_nothing_is_written(world: World) -> None:
    worker = world.begin(pod())
    await world.clock.settle()
    world.runtime.runs[0].obedient = False
    worker.update(deleted(pod(), 600))
    await world.clock.settle()
    writes = world.api.writes
    worker.gone()
    await world.clock.settle()
    assert world.runtime.runs[0].grace == 0
    assert world.tasks[0].done()
    assert (world.api.writes, world.api.deleted) == (writes, [])


async def test_a_refused_write_is_repeated(world: World) -> None:
    world.api.refusals = [ApiConflictError("busy")]
    world.begin(pod())
    await world.clock.settle()
    await world.clock.advance(1)
    assert world.api.status["phase"] == "Running"


async def test_a_delete_that_finds_nothing_is_done(world: World) -> None:
    worker = world.begin(pod())
    await world.clock.settle()
    worker.update(deleted(pod(), 0))
    world.api.refusals = []
    await world.clock.settle()
    assert world.tasks[0].done()
    other = World()
    worker = other.begin(deleted(pod(), 1))
    other.api.refusals = [ApiNotFoundError("x"), ApiNotFoundError("x")]
    await other.clock.settle()
    assert other.tasks[0].done()


async def test_volumes_follow_what_they_show(world: World) -> None:
    worker = world.begin(pod())
    await world.clock.settle()
    worker.referred_changed()
    await world.clock.settle()
    assert world.place.refreshed == 1


async def test_a_finished_pod_stays_finished_for_a_new_agent(world: World) -> None:
    ended = {"terminated": {"exitCode": 0, "reason": "Completed"}}
    status = {"phase": "Succeeded", "containerStatuses": [{"name": "app", "state": ended}]}
    world.begin(pod(status=status, restartPolicy="Never"))
    await world.clock.settle()
    assert world.runtime.started == []
    assert world.api.writes == 0


async def test_a_running_pod_of_an_earlier_agent_is_started_again_with_its_count(world: World) -> None:
    running = {"name": "app", "restartCount": 3, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}
    status = {"phase": "Running", "startTime": "2026-01-01T00:00:00Z", "containerStatuses": [running]}
    world.begin(pod(status=status))
    await world.clock.settle()
    assert world.runtime.started == [("app", 3)]
    assert "startTime" not in world.api.status  # it did not change


async def test_a_running_pod_that_never_restarts_was_lost_with_its_agent(world: World) -> None:
    running = {"name": "app", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}
    world.begin(pod(status={"phase": "Running", "containerStatuses": [running]}, restartPolicy="Never"))
    await world.clock.settle()
    assert world.api.status["phase"] == "Failed"
    assert world.state()["terminated"]["reason"] == "ContainerStatusUnknown"
    assert world.runtime.started == []
