import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fakes.clock import VirtualClock
from fakes.container_runs import FakeImages, FakeRuntime
from fakes.node_world import RecordedEvents
from towpath.cluster.node.pod.container_spec import ContainerConfigError
from towpath.cluster.node.pod.image_pull import ImagePuller
from towpath.cluster.node.pod.probe_actions import Outcome
from towpath.cluster.node.pod.runner import ContainerRunner, RunnerPorts, grace_of
from towpath.cluster.node.pod.state import ContainerState, Running, Terminated, Waiting
from towpath.cluster.node.sandbox.launcher import SandboxError
from towpath.kube.objects import Object
from towpath.oci.keyring import Keyring

IMAGE = "registry.test/app:v1"


class Subject:
    """One runner over a fake machine."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.runtime = FakeRuntime()
        self.events = RecordedEvents()
        self.changes = 0
        self.task: asyncio.Task[None] | None = None

    def changed(self) -> None:
        self.changes += 1

    async def no_keys(self) -> Keyring:
        return Keyring()

    def begin(self, policy: str = "Always", state: ContainerState | None = None, **container: Any) -> ContainerRunner:
        spec = {"name": "app", "image": IMAGE, **container}
        pod: Object = {
            "metadata": {"name": "web", "namespace": "dev", "uid": "u"},
            "spec": {"containers": [spec], "restartPolicy": policy, "terminationGracePeriodSeconds": 7},
        }
        puller = ImagePuller(
            FakeImages(present={IMAGE}),
            keyring=self.no_keys,
            pause=self.clock.sleep,
            events=self.events,
            clock=self.clock,
        )
        ports = RunnerPorts(
            runtime=self.runtime,
            events=self.events,
            clock=self.clock,
            pause=self.clock.sleep,
            on_change=self.changed,
        )
        self.runner = ContainerRunner(pod, spec, state or ContainerState(name="app", image=IMAGE), puller, ports)
        self.task = asyncio.create_task(self.runner.run())
        return self.runner

    @property
    def state(self) -> ContainerState:
        return self.runner.state

    def readiness(self) -> bool:
        return self.state.ready


@pytest.fixture
async def subject() -> AsyncIterator[Subject]:
    made = Subject()
    yield made
    if made.task is not None:
        made.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await made.task


async def test_a_container_without_probes_is_ready_when_it_runs(subject: Subject) -> None:
    subject.begin()
    await subject.clock.settle()
    assert isinstance(subject.state.state, Running)
    assert (subject.state.ready, subject.state.started) == (True, True)
    assert subject.state.container_id == "towpath://1"
    assert [reason for reason, _ in subject.events.said] == ["Pulled", "Created", "Started"]


async def test_restarts_come_at_once_and_then_after_a_back_off(subject: Subject) -> None:
    subject.begin()
    await subject.clock.settle()
    subject.runtime.runs[0].end(1)
    await subject.clock.settle()
    assert subject.runtime.started == [("app", 0), ("app", 1)]
    subject.runtime.runs[1].end(2)
    await subject.clock.settle()
    assert subject.state.state == Waiting(
        "CrashLoopBackOff", "back-off 10s restarting failed container=app pod=web_dev(u)"
    )
    assert subject.state.last is not None
    assert subject.state.last.exit_code == 2
    assert subject.state.restart_count == 1
    assert subject.events.messages("BackOff") == ["Back-off restarting failed container app in pod web_dev(u)"]
    await subject.clock.advance(9.9)
    assert len(subject.runtime.runs) == 2
    await subject.clock.advance(0.2)
    assert subject.runtime.started[-1] == ("app", 2)


async def test_a_long_run_forgives_earlier_crashes(subject: Subject) -> None:
    subject.begin()
    await subject.clock.settle()
    for run in range(2):
        subject.runtime.runs[run].end(1)
        await subject.clock.advance(10)
    await subject.clock.advance(601)
    subject.runtime.runs[2].end(1)
    await subject.clock.settle()
    assert len(subject.runtime.runs) == 4


@pytest.mark.parametrize(
    ("policy", "code", "runs"),
    [("Always", 0, 2), ("OnFailure", 0, 1), ("OnFailure", 3, 2), ("Never", 3, 1)],
)
async def test_the_restart_policy_decides(subject: Subject, policy: str, code: int, runs: int) -> None:
    subject.begin(policy)
    await subject.clock.settle()
    subject.runtime.runs[0].end(code)
    await subject.clock.settle()
    assert len(subject.runtime.runs) == runs
    assert subject.task is not None
    assert subject.task.done() == (runs == 1)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"exit_code": 0}, "Completed"),
        ({"exit_code": 2}, "Error"),
        ({"exit_code": 137, "oom_killed": True}, "OOMKilled"),
    ],
)
async def test_the_reason_of_an_end(subject: Subject, how: dict[str, Any], reason: str) -> None:
    subject.begin("Never")
    await subject.clock.settle()
    subject.runtime.runs[0].end(how.pop("exit_code"), **how, message="last words")
    await subject.clock.settle()
    assert isinstance(subject.state.state, Terminated)
    assert (subject.state.state.reason, subject.state.state.message) == (reason, "last words")
    assert subject.state.state.container_id == "towpath://1"


async def test_readiness_follows_the_probe_and_ends_with_the_run(subject: Subject) -> None:
    subject.begin(readinessProbe={"kind": "readiness", "periodSeconds": 1, "failureThreshold": 1})
    await subject.clock.settle()
    run = subject.runtime.runs[0]
    assert subject.readiness() is True
    run.answers["readiness"] = Outcome(success=False, message="busy")
    await subject.clock.advance(1)
    assert subject.readiness() is False
    assert subject.events.messages("Unhealthy") == ["Readiness probe failed: busy"]
    run.answers.clear()
    await subject.clock.advance(1)
    assert subject.readiness() is True
    run.end(1)
    await subject.clock.settle()
    assert subject.state.last is not None


async def test_a_container_is_started_only_when_its_startup_probe_says_so(subject: Subject) -> None:
    subject.begin(startupProbe={"kind": "startup", "periodSeconds": 1, "failureThreshold": 100})
    subject.runtime.answers["startup"] = Outcome(success=False, message="not yet")
    await subject.clock.advance(3)
    assert (subject.state.started, subject.state.ready) == (False, False)
    subject.runtime.runs[0].answers.clear()
    await subject.clock.advance(1)
    assert (subject.state.started, subject.state.ready) == (True, True)


async def test_a_failed_liveness_probe_stops_the_run_with_the_pods_grace_and_restarts_it(subject: Subject) -> None:
    subject.begin(livenessProbe={"kind": "liveness", "periodSeconds": 1, "failureThreshold": 2})
    await subject.clock.settle()
    first = subject.runtime.runs[0]
    first.answers["liveness"] = Outcome(success=False, message="sick")
    await subject.clock.advance(3)
    assert first.grace == 7
    assert len(subject.runtime.runs) == 2
    assert "Container app failed liveness probe, will be restarted" in subject.events.messages("Killing")
    assert subject.state.last is not None
    assert subject.state.last.exit_code == 143


async def test_a_normal_start_writes_no_warning_of_its_liveness_probe(subject: Subject) -> None:
    starting = Outcome(success=False, message="connection refused")
    subject.runtime.answers = {"readiness": starting, "liveness": starting}
    subject.begin(livenessProbe={"kind": "liveness"}, readinessProbe={"kind": "readiness"})
    await subject.clock.advance(2)
    run = subject.runtime.runs[0]
    run.answers.clear()
    await subject.clock.advance(30)
    assert subject.state.ready
    assert subject.events.messages("Unhealthy") == []
    run.answers["liveness"] = Outcome(success=False, message="sick")
    await subject.clock.advance(10)
    assert subject.events.messages("Unhealthy") == ["Liveness probe failed: sick"]


async def test_a_liveness_probe_begins_at_once_when_the_startup_probe_has_passed(subject: Subject) -> None:
    subject.runtime.answers = {"liveness": Outcome(success=False, message="sick")}
    subject.begin(livenessProbe={"kind": "liveness"}, startupProbe={"kind": "startup"})
    await subject.clock.advance(1)
    assert subject.events.messages("Unhealthy") == ["Liveness probe failed: sick"]


async def test_a_container_that_cannot_be_configured_is_tried_again(subject: Subject) -> None:
    subject.runtime.refusal = ContainerConfigError('configmap "x" not found')
    subject.begin()
    await subject.clock.settle()
    waiting = Waiting("CreateContainerConfigError", 'configmap "x" not found')
    assert [waiting] == [subject.state.state]
    assert subject.events.messages("Failed") == ['Error: configmap "x" not found']
    subject.runtime.refusal = None
    await subject.clock.advance(10)
    assert isinstance(subject.state.state, Running)
    assert subject.state.restart_count == 0


async def test_a_command_that_never_ran_is_a_start_error(subject: Subject) -> None:
    subject.runtime.refusal = SandboxError("exec: no such file")
    subject.begin("Never")
    await subject.clock.settle()
    assert isinstance(subject.state.state, Terminated)
    assert (subject.state.state.reason, subject.state.state.exit_code) == ("StartError", 128)
    assert "exec: no such file" in subject.state.state.message


async def test_a_container_of_an_earlier_agent_starts_again_without_counting_it(subject: Subject) -> None:
    state = ContainerState(name="app", image=IMAGE, restart_count=5)
    subject.begin(state=state)
    await subject.clock.settle()
    assert subject.runtime.started == [("app", 5)]


async def test_a_container_that_had_ended_counts_its_restart_or_stays_ended(subject: Subject) -> None:
    ended = Terminated(exit_code=1, reason="Error")
    subject.begin(state=ContainerState(name="app", image=IMAGE, restart_count=5, state=ended))
    await subject.clock.settle()
    assert subject.runtime.started == [("app", 6)]
    assert subject.state.last == ended
    other = Subject()
    other.begin("Never", state=ContainerState(name="app", image=IMAGE, state=ended))
    await other.clock.settle()
    assert other.runtime.started == []


async def test_a_stopped_run_is_recorded_with_its_end(subject: Subject) -> None:
    runner = subject.begin()
    await subject.clock.settle()
    assert subject.task is not None
    subject.task.cancel()
    await runner.stop(5)
    assert subject.runtime.runs[0].grace == 5
    assert isinstance(subject.state.state, Terminated)
    assert subject.state.state.exit_code == 143
    assert subject.events.messages("Killing") == ["Stopping container app"]


def test_the_grace_period_is_the_deletions_then_the_pods_then_upstreams() -> None:
    assert grace_of({"metadata": {"deletionGracePeriodSeconds": 1}, "spec": {"terminationGracePeriodSeconds": 5}}) == 1
    assert grace_of({"spec": {"terminationGracePeriodSeconds": 5}}) == 5
    assert grace_of({"spec": {}}) == 30
