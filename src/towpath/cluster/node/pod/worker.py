"""One pod on this node, from the moment it is bound until its object is gone.

Steps: network and volumes, init containers one after the other, containers side by side; the status is written whenever
it differs from the last one written. When the object is marked for deletion, everything is stopped in the grace period,
the end is recorded, and the object is deleted for good (grace 0), as a kubelet does. Containers: `runner`.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Protocol, Self

from towpath.aio.clock import Clock, parse_rfc3339
from towpath.cluster.node.pod.image_pull import ImagePuller, Images
from towpath.cluster.node.pod.recorder import EventSink
from towpath.cluster.node.pod.runner import ContainerRunner, RunnerPorts, Runtime, grace_of
from towpath.cluster.node.pod.state import ContainerState, Terminated, Waiting, lost, recall, was_running
from towpath.cluster.node.pod.status import PodFacts, compute_status, prepare_patch, restart_policy
from towpath.cluster.node.sandbox.isolation import NoSandboxError
from towpath.errors import TowpathError
from towpath.kube.errors import ApiConflictError, ApiError, ApiNotFoundError
from towpath.kube.objects import GVK, Object, find_path, metadata_of, name_of, namespace_of, uid_of
from towpath.kube.requests import DeleteOptions, Patch, PatchType, WriteOptions
from towpath.oci.keyring import Keyring

log = logging.getLogger(__name__)

POD = GVK("", "v1", "Pod")
FIELD_MANAGER = "kubelet"
SETUP_RETRY_SECONDS = 2.0
# What the agent found at its start holds until its end; the look only repeats the event, as long as that is kept.
NO_SANDBOX_RETRY_SECONDS = 1800.0
# A mounted token lives an hour and is renewed when a fifth of that is left.
TOKEN_LOOK_SECONDS = 300.0
WRITE_RETRY_SECONDS = 1.0
FINISHED = frozenset({"Succeeded", "Failed"})


class PodWriter(Protocol):
    """The verbs a worker writes with."""

    async def patch(self, gvk: GVK, name: str, namespace: str, patch: Patch, options: WriteOptions) -> Object:
        """Change some fields. Raises ApiNotFoundError, ApiConflictError."""
        ...

    async def delete(self, gvk: GVK, name: str, namespace: str, options: DeleteOptions) -> None:
        """Delete. Raises ApiNotFoundError, ApiConflictError."""
        ...


class PodPlace(Protocol):
    """A pod's share of the machine: network, directories, volumes. `place.Place` is one."""

    async def set_up(self) -> str:
        """Make everything its containers need; the pod's IP. Raises TowpathError, OSError; safe to repeat."""
        ...

    async def refresh(self) -> None:
        """Bring volumes up to date with what they show. Raises TowpathError, OSError."""
        ...

    @property
    def runtime(self) -> Runtime:
        """Starts its containers, once it is set up."""
        ...

    async def keyring(self) -> Keyring:
        """The pull secrets of the pod as they are at this moment."""
        ...

    async def tear_down(self) -> None:
        """Give everything back."""
        ...


class PodWorker:
    """Runs one pod. `run` it as a task; tell it what happens to the object."""

    def __init__(
        self, pod: Object, place: PodPlace, *, client: PodWriter, images: Images, events: EventSink, clock: Clock
    ) -> None:
        self.pod = pod
        self.host_ip = "127.0.0.1"
        self._place = place
        self._client = client
        self._images = images
        self._events = events
        self._clock = clock
        self._written: dict[str, Any] = dict(pod.get("status") or {})
        started = self._written.get("startTime")
        self._started_at = parse_rfc3339(started) if started else clock.now()
        self._pod_ip = ""
        self._networked = False
        self._stopped = False  # everything, because the object is marked for deletion
        self._dirty = asyncio.Event()
        self._referred_changed = asyncio.Event()
        self._deletion = asyncio.Event()
        self._gone = asyncio.Event()
        self._runners: list[ContainerRunner] = []
        self._states = self._recall_states()
        if metadata_of(pod).get("deletionTimestamp"):
            self._deletion.set()

    def update(self, pod: Object) -> None:
        """The object changed."""
        self.pod = pod
        if metadata_of(pod).get("deletionTimestamp"):
            self._deletion.set()

    def referred_changed(self) -> None:
        """A ConfigMap or Secret that the pod refers to changed."""
        self._referred_changed.set()
        self._referred_changed = asyncio.Event()

    def gone(self) -> None:
        """The object is gone: whatever still runs is killed."""
        self._gone.set()
        self._deletion.set()

    async def run(self) -> None:
        """Run the pod until its object is deleted. Cancelled: containers keep running until `stop_containers`."""
        async with _Tasks() as tasks:
            tasks.start(self._write_statuses())
            tasks.start(self._refresh_volumes())
            work = tasks.start(self._work())
            await self._deletion.wait()
            work.cancel()
            await asyncio.wait({work})
            await self._stop_for_deletion()
        await self._place.tear_down()
        await self._delete_object()

    async def stop_containers(self, grace_seconds: float) -> None:
        """Stop every container that runs."""
        await asyncio.gather(*(runner.stop(grace_seconds) for runner in self._runners))

    async def _work(self) -> None:
        if self._written.get("phase") in FINISHED:
            return
        self._changed()
        await self._set_up()
        init = [state for state in self._states if state.init]
        for state in init:
            await self._run_one(state)
            if not (isinstance(state.state, Terminated) and state.state.exit_code == 0):
                return  # restartPolicy Never: the pod has failed
        main = [state for state in self._states if not state.init]
        async with _Tasks() as tasks:
            running = [tasks.start(self._run_one(state)) for state in main]
            await asyncio.gather(*running)

    async def _set_up(self) -> None:
        while True:
            try:
                self._pod_ip = await self._place.set_up()
            except (TowpathError, OSError) as error:
                reason = "FailedMount" if "volume" in str(error) else "FailedCreatePodSandBox"
                hopeless = isinstance(error, NoSandboxError)
                self._events.warning(self.pod, reason, str(error))
                for state in self._states:
                    if isinstance(state.state, Waiting):
                        shown = "CreateContainerError" if hopeless else state.state.reason
                        state.state = Waiting(shown, str(error))
                self._changed()
                await self._pause(NO_SANDBOX_RETRY_SECONDS if hopeless else SETUP_RETRY_SECONDS)
                continue
            for state in self._states:
                if isinstance(state.state, Waiting):
                    state.state = Waiting(state.state.reason)
            self._networked = True
            self._changed()
            return

    async def _run_one(self, state: ContainerState) -> None:
        container = self._container(state)
        puller = ImagePuller(
            self._images, keyring=self._place.keyring, pause=self._pause, events=self._events, clock=self._clock
        )
        ports = RunnerPorts(
            runtime=self._place.runtime,
            events=self._events,
            clock=self._clock,
            pause=self._pause,
            on_change=self._changed,
        )
        runner = ContainerRunner(self.pod, container, state, puller, ports)
        self._runners.append(runner)
        await runner.run()

    async def _stop_for_deletion(self) -> None:
        grace = 0.0 if self._gone.is_set() else grace_of(self.pod)
        stopping = asyncio.ensure_future(self.stop_containers(grace))
        gone = asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait({stopping, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not stopping.done():
                stopping.cancel()
                await asyncio.wait({stopping})
                for runner in self._runners:
                    await runner.kill()
            elif stopping.exception() is not None:
                log.error("pod %s could not be stopped cleanly: %s", name_of(self.pod), stopping.exception())
        finally:
            gone.cancel()
        for state in self._states:
            if isinstance(state.state, Waiting) and state.last is not None:
                state.state = state.last
        self._stopped = True
        if not self._gone.is_set():
            await self._write_status()

    async def _refresh_volumes(self) -> None:
        while True:
            await self._pause(TOKEN_LOOK_SECONDS)
            if self._networked:
                try:
                    await self._place.refresh()
                except (TowpathError, OSError) as error:
                    self._events.warning(self.pod, "FailedMount", str(error))

    async def _write_statuses(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            if not await self._write_status():
                await self._clock.sleep(WRITE_RETRY_SECONDS)
                self._dirty.set()

    async def _write_status(self) -> bool:
        """Write the status if it differs; False if it has to be tried again."""
        facts = PodFacts(
            host_ip=self.host_ip,
            pod_ip=self._pod_ip,
            started_at=self._started_at,
            networked=self._networked,
            deleted=self._stopped,
        )
        previous = {**self._written, "conditions": find_path(self.pod, "status", "conditions") or []}
        if self._written.get("conditions"):
            previous["conditions"] = self._written["conditions"]
        status = compute_status(self.pod, self._states, facts, previous=previous, now=self._clock.now())
        changes = prepare_patch(self._written, status)
        if not changes:
            return True
        body = {"metadata": {"uid": uid_of(self.pod)}, "status": changes}
        options = WriteOptions(field_manager=FIELD_MANAGER, subresource="status")
        try:
            await self._client.patch(
                POD, name_of(self.pod), namespace_of(self.pod), Patch(PatchType.MERGE, body), options
            )
        except ApiNotFoundError:
            return True
        except ApiError as error:
            log.warning("status of pod %s/%s was not written: %s", namespace_of(self.pod), name_of(self.pod), error)
            return False
        self._written = {**self._written, **status}
        return True

    async def _delete_object(self) -> None:
        if self._gone.is_set():
            return
        options = DeleteOptions(grace_period_seconds=0, uid=uid_of(self.pod))
        while True:
            try:
                await self._client.delete(POD, name_of(self.pod), namespace_of(self.pod), options)
            except (ApiNotFoundError, ApiConflictError):
                return  # gone, or another pod has the name
            except ApiError as error:
                log.warning("pod %s/%s was not deleted: %s", namespace_of(self.pod), name_of(self.pod), error)
                await self._clock.sleep(WRITE_RETRY_SECONDS)
            else:
                return

    async def _pause(self, seconds: float) -> None:
        """Wait; not longer than until something the pod refers to changes."""
        changed = asyncio.ensure_future(self._referred_changed.wait())
        timer = asyncio.ensure_future(self._clock.sleep(max(seconds, 0.0)))
        try:
            await asyncio.wait({changed, timer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
            timer.cancel()

    def _changed(self) -> None:
        self._dirty.set()

    def _container(self, state: ContainerState) -> Object:
        kind = "initContainers" if state.init else "containers"
        found: Object = next(c for c in find_path(self.pod, "spec", kind) or [] if c["name"] == state.name)
        return found

    def _recall_states(self) -> list[ContainerState]:
        """What the last status says, for an agent that comes back; fresh states for a new pod."""
        states = []
        has_init = bool(find_path(self.pod, "spec", "initContainers"))
        for kind, field, init in (
            ("initContainers", "initContainerStatuses", True),
            ("containers", "containerStatuses", False),
        ):
            known = {status["name"]: status for status in self._written.get(field) or []}
            for container in find_path(self.pod, "spec", kind) or []:
                before = known.get(container["name"])
                state = recall(container, before, init=init, parse_time=parse_rfc3339)
                if was_running(before) and restart_policy(self.pod) == "Never":
                    state.state = lost()
                elif init and self._written.get("phase") not in FINISHED:
                    state.state = Waiting("PodInitializing")  # init containers run again with a new sandbox
                    state.ready = False
                elif isinstance(state.state, Waiting) and has_init:
                    state.state = Waiting("PodInitializing")
                states.append(state)
        return states


class _Tasks:
    """Tasks that end with a block."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, step: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(step)
        self._tasks.append(task)
        return task

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                log.error("a task of a pod failed", exc_info=result)
