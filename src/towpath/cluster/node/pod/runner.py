"""One container from its first start to its last end: pull, start, probe, restart.

The kubelet's rules: the first restart is at once, later ones back off (`restarts`); a failed liveness or startup probe
stops the container with the pod's grace period; readiness follows the probe and is lost when the container ends. What
happens inside the machine is behind `Runtime`; the state of the container is in `state` and told by `on_change`.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from towpath.aio.clock import Clock
from towpath.cluster.node.image.catalogue import LocalImage
from towpath.cluster.node.pod.image_pull import ImagePuller
from towpath.cluster.node.pod.probe_actions import Outcome
from towpath.cluster.node.pod.probes import Probe, ProbeKind, Timing
from towpath.cluster.node.pod.recorder import EventSink, field_path
from towpath.cluster.node.pod.restarts import RestartTimer, format_duration
from towpath.cluster.node.pod.state import ContainerState, Running, Terminated, Waiting
from towpath.cluster.node.pod.status import restart_policy
from towpath.errors import UserError
from towpath.kube.objects import Object, find_path, name_of, namespace_of, uid_of

# What cannot be configured is tried again at the pace of a kubelet's sync, or at once when a reference changes.
CONFIG_RETRY_SECONDS = 10.0
DEFAULT_GRACE_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a run ended. `start_error` is set when the command never ran; `message` is the termination message."""

    exit_code: int
    oom_killed: bool = False
    start_error: str = ""
    message: str = ""


class Run(Protocol):
    """A started container."""

    @property
    def container_id(self) -> str:
        """`towpath://…`."""
        ...

    async def wait(self) -> Ended:
        """Wait for its end."""
        ...

    async def stop(self, grace_seconds: float) -> None:
        """Ask it to end, kill it after the grace period."""
        ...

    def look(self, probe: Object, *, timeout_seconds: float) -> Callable[[], Awaitable[Outcome]]:
        """What a probe of this container does once."""
        ...


class Runtime(Protocol):
    """Starts containers of one pod."""

    async def start(self, container: Object, image: LocalImage, *, restart_count: int) -> Run:
        """Start a container. Raises UserError (it cannot be configured), SandboxError (it cannot be started)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerPorts:
    """What every runner of a pod shares."""

    runtime: Runtime
    events: EventSink
    clock: Clock
    pause: Callable[[float], Awaitable[None]]  # returns early when something the pod refers to has changed
    on_change: Callable[[], None]


class ContainerRunner:
    """Keeps one container as its pod's restart policy wants it."""

    def __init__(
        self, pod: Object, container: Object, state: ContainerState, puller: ImagePuller, ports: RunnerPorts
    ) -> None:
        self.state = state
        self._pod = pod
        self._container = container
        self._puller = puller
        self._ports = ports
        self._timer = RestartTimer()
        self._run: Run | None = None

    async def run(self) -> None:
        """Run the container until it is not to run again."""
        if isinstance(self.state.state, Terminated) and not self._restarts(self.state.state):
            return
        # A container whose process went with an earlier agent did not fail: starting it again is no restart.
        is_restart = isinstance(self.state.state, Terminated)
        if isinstance(self.state.state, Terminated):
            self.state.last = self.state.state
        while True:
            image = await self._puller.ensure(self._pod, self._container, self._wait_for)
            self.state.image_id = image.image_id
            if is_restart:
                self.state.restart_count += 1
                is_restart = False
            ended = await self._run_once(image)
            if ended is None:
                continue
            is_restart = True
            if not self._restarts(ended):
                return
            await self._back_off(ended)

    async def stop(self, grace_seconds: float) -> None:
        """End the run, if there is one, and record how it ended; call it after `run` was cancelled."""
        run = self._run
        if run is None:
            return
        if grace_seconds:
            self._event("Killing", f"Stopping container {self.state.name}")
        await run.stop(grace_seconds)
        self._run = None
        self._record_end(await run.wait())

    async def kill(self) -> None:
        """End the run at once."""
        await self.stop(0.0)

    async def _run_once(self, image: LocalImage) -> Terminated | None:
        """One run; None when it could not be configured, after waiting."""
        ports = self._ports
        try:
            run = await ports.runtime.start(self._container, image, restart_count=self.state.restart_count)
        except UserError as error:
            self._wait_for(Waiting("CreateContainerConfigError", error.message))
            self._event("Failed", f"Error: {error.message}", warning=True)
            await ports.pause(CONFIG_RETRY_SECONDS)
            return None
        except Exception as error:  # noqa: BLE001 - whatever the machine refuses, the pod says why
            self._event("Created", "Container created")
            return self._record_end(Ended(exit_code=128, start_error=str(error)))
        self._run = run
        self.state.container_id = run.container_id
        self._event("Created", "Container created")
        self._event("Started", "Container started")
        has_startup = bool(self._container.get("startupProbe"))
        self.state.state = Running(ports.clock.now())
        self.state.started = not has_startup
        self.state.ready = not has_startup and not self._container.get("readinessProbe") and not self.state.init
        ports.on_change()
        ended = await self._supervise(run)
        self._run = None
        return self._record_end(ended)

    async def _supervise(self, run: Run) -> Ended:
        """Wait for the end of a run, probing it meanwhile; a failed probe brings the end about."""
        failed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        probing = asyncio.create_task(
            self._probe(run, failed), name=f"probes of {name_of(self._pod)}/{self.state.name}"
        )
        waiting = asyncio.ensure_future(run.wait())
        either: set[asyncio.Future[Any]] = {waiting, failed}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                probing.cancel()
                self.state.ready = False
                self._ports.on_change()
                message = f"Container {self.state.name} failed {failed.result()} probe, will be restarted"
                self._event("Killing", message)
                await run.stop(grace_of(self._pod))
            return await waiting
        finally:
            failed.cancel()
            waiting.cancel()
            probing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await probing

    async def _probe(self, run: Run, failed: "asyncio.Future[str]") -> None:
        startup = self._make_probe(ProbeKind.STARTUP, "startupProbe", run)
        if startup is not None:
            passed = False

            def started(verdict: bool) -> None:
                nonlocal passed
                passed = verdict

            await startup.run(started)
            if not passed:
                _set(failed, "startup")
                return
            self.state.started = True
            self.state.ready = not self._container.get("readinessProbe")
            self._ports.on_change()
        looks = []
        ready = asyncio.Event()
        if startup is not None:
            ready.set()  # it has answered

        def told_ready(verdict: bool) -> None:
            if verdict:
                ready.set()
            self._set_ready(verdict)

        readiness = self._make_probe(ProbeKind.READINESS, "readinessProbe", run)
        if readiness is not None:
            looks.append(readiness.run(told_ready))
        liveness = self._make_probe(ProbeKind.LIVENESS, "livenessProbe", run, ready)
        if liveness is not None:
            looks.append(liveness.run(lambda verdict: None if verdict else _set(failed, "liveness")))
        await asyncio.gather(*looks)

    def _make_probe(self, kind: ProbeKind, field: str, run: Run, ready: asyncio.Event | None = None) -> Probe | None:
        spec = self._container.get(field)
        if not spec:
            return None
        timing = Timing.parse(spec)

        def tell(message: str) -> None:
            self._event("Unhealthy", f"{kind} probe failed: {message}", warning=True)

        look = run.look(spec, timeout_seconds=timing.timeout)
        return Probe(kind, timing, look, clock=self._ports.clock, on_failure=tell, ready=ready)

    def _set_ready(self, verdict: bool) -> None:
        if self.state.ready != verdict:
            self.state.ready = verdict
            self._ports.on_change()

    def _record_end(self, ended: Ended) -> Terminated:
        began = self.state.state.started_at if isinstance(self.state.state, Running) else 0.0
        if ended.start_error:
            reason, message = "StartError", ended.start_error
            self._event("Failed", f"Error: {message}", warning=True)
        elif ended.oom_killed:
            reason, message = "OOMKilled", ended.message
        else:
            reason, message = ("Error" if ended.exit_code else "Completed"), ended.message
        terminated = Terminated(
            exit_code=ended.exit_code,
            reason=reason,
            message=message,
            started_at=began,
            finished_at=self._ports.clock.now(),
            container_id=self.state.container_id,
        )
        self.state.state = terminated
        self.state.started = False
        self.state.ready = self.state.init and ended.exit_code == 0
        self._ports.on_change()
        return terminated

    async def _back_off(self, ended: Terminated) -> None:
        ran = ended.finished_at - ended.started_at if ended.started_at else 0.0
        delay = self._timer.next_delay(ran_seconds=ran)
        self.state.last = ended
        if not delay:
            return
        pod = f"{name_of(self._pod)}_{namespace_of(self._pod)}({uid_of(self._pod)})"
        name = self.state.name
        message = f"back-off {format_duration(delay)} restarting failed container={name} pod={pod}"
        self._wait_for(Waiting("CrashLoopBackOff", message))
        self._event("BackOff", f"Back-off restarting failed container {name} in pod {pod}", warning=True)
        await self._ports.clock.sleep(delay)

    def _restarts(self, ended: Terminated) -> bool:
        policy = restart_policy(self._pod)
        if self.state.init:
            return policy != "Never" and ended.exit_code != 0
        return policy == "Always" or (policy == "OnFailure" and ended.exit_code != 0)

    def _wait_for(self, waiting: Waiting) -> None:
        self.state.state = waiting
        self.state.ready = False
        self._ports.on_change()

    def _event(self, reason: str, message: str, *, warning: bool = False) -> None:
        tell = self._ports.events.warning if warning else self._ports.events.normal
        tell(self._pod, reason, message, field_path=field_path(self._pod, self._container))


def grace_of(pod: Object) -> float:
    """How long its containers may take to end."""
    seconds = find_path(pod, "metadata", "deletionGracePeriodSeconds")
    if seconds is None:
        seconds = find_path(pod, "spec", "terminationGracePeriodSeconds")
    return DEFAULT_GRACE_SECONDS if seconds is None else float(seconds)


def _set(future: "asyncio.Future[str]", value: str) -> None:
    if not future.done():
        future.set_result(value)
