import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from fakes.clock import VirtualClock
from towpath.cluster.node.pod.probe_actions import Outcome
from towpath.cluster.node.pod.probes import Probe, ProbeKind, Tally, Timing

OK, BAD = Outcome(success=True), Outcome(success=False, message="no")


class Subject:
    """A container whose answers the test sets; it notes when it was looked at."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.answer = BAD
        self.looks: list[float] = []
        self.verdicts: list[tuple[float, bool]] = []
        self.failures: list[str] = []

    async def look(self) -> Outcome:
        self.looks.append(self.clock.monotonic())
        return self.answer

    def run(self, kind: ProbeKind, *, ready: asyncio.Event | None = None, **timing: float) -> asyncio.Task[None]:
        probe = Probe(
            kind,
            Timing(**timing),  # type: ignore[arg-type]
            self.look,
            clock=self.clock,
            on_failure=self.failures.append,
            ready=ready,
        )
        return asyncio.create_task(probe.run(lambda verdict: self.verdicts.append((self.clock.monotonic(), verdict))))


@pytest.fixture
async def subject() -> AsyncIterator[Subject]:
    before = asyncio.all_tasks()
    yield Subject(VirtualClock())
    for task in asyncio.all_tasks() - before:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("kind", [ProbeKind.READINESS, ProbeKind.STARTUP])
async def test_a_container_is_ready_as_soon_as_it_answers(subject: Subject, kind: ProbeKind) -> None:
    subject.run(kind, period=10)
    await subject.clock.advance(0.1)
    subject.answer = OK
    await subject.clock.advance(0.05)
    [(moment, verdict)] = subject.verdicts
    assert verdict
    assert moment <= 0.13
    assert subject.failures == []  # looks before the first success count only if they succeed


async def test_eager_looks_do_not_count_against_the_threshold(subject: Subject) -> None:
    subject.run(ProbeKind.STARTUP, period=10, failure_threshold=2)
    await subject.clock.advance(10)
    assert len(subject.failures) == 1
    await subject.clock.advance(10)
    assert subject.verdicts == [(20.0, False)]
    assert len(subject.failures) == 2


async def test_the_initial_delay_is_kept(subject: Subject) -> None:
    subject.answer = OK
    subject.run(ProbeKind.READINESS, initial_delay=5, period=10)
    await subject.clock.advance(4.9)
    assert subject.looks == []
    await subject.clock.advance(0.2)
    assert subject.verdicts == [(5.0, True)]


async def test_readiness_is_lost_after_the_threshold_and_comes_back(subject: Subject) -> None:
    subject.answer = OK
    subject.run(ProbeKind.READINESS, period=10, failure_threshold=3)
    await subject.clock.advance(5)
    subject.answer = BAD
    await subject.clock.advance(30)
    assert subject.verdicts[-1] == (30.0, False)
    subject.answer = OK
    await subject.clock.advance(10)
    assert subject.verdicts[-1] == (40.0, True)


async def test_a_liveness_probe_keeps_to_its_period_and_ends_when_it_failed(subject: Subject) -> None:
    task = subject.run(ProbeKind.LIVENESS, period=10, failure_threshold=2)
    await subject.clock.advance(9)
    assert subject.looks == [0.0]
    await subject.clock.advance(1)
    assert subject.verdicts == [(10.0, False)]
    assert task.done()


async def test_a_liveness_probe_begins_when_the_container_has_been_ready(subject: Subject) -> None:
    ready = asyncio.Event()
    subject.run(ProbeKind.LIVENESS, ready=ready, period=10, failure_threshold=2)
    await subject.clock.advance(3)
    assert subject.looks == []
    subject.answer = OK
    ready.set()
    await subject.clock.settle()
    assert subject.looks == [3.0]
    await subject.clock.advance(10)
    assert subject.looks == [3.0, 13.0]
    assert subject.failures == []


@pytest.mark.parametrize(("delay", "first"), [(0, 10.0), (4, 10.0), (25, 25.0)])
async def test_a_liveness_probe_begins_a_period_after_the_start_at_the_latest(
    subject: Subject, delay: float, first: float
) -> None:
    task = subject.run(ProbeKind.LIVENESS, ready=asyncio.Event(), initial_delay=delay, period=10, failure_threshold=2)
    await subject.clock.advance(60)
    assert subject.looks == [first, first + 10]
    assert subject.verdicts == [(first + 10, False)]  # from there on as many failures as ever
    assert task.done()


async def test_a_startup_probe_ends_with_its_success(subject: Subject) -> None:
    subject.answer = OK
    task = subject.run(ProbeKind.STARTUP, period=10)
    await subject.clock.advance(60)
    assert task.done()
    assert len(subject.looks) == 1


async def test_several_successes_take_several_periods(subject: Subject) -> None:
    subject.answer = OK
    subject.run(ProbeKind.READINESS, period=10, success_threshold=3)
    await subject.clock.advance(19)
    assert subject.verdicts == []
    await subject.clock.advance(1)
    assert subject.verdicts == [(20.0, True)]


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [("bb", None), ("bbb", False), ("bbgb", None), ("g", True), ("gbb", True), ("gbbb", False), ("bbbg", True)],
)
def test_a_run_of_equal_outcomes_decides(outcomes: str, verdict: bool | None) -> None:
    tally = Tally(Timing(failure_threshold=3))
    for outcome in outcomes:
        tally.count(success=outcome == "g")
    assert tally.verdict is (verdict if outcomes != "bbgb" else True)


def test_the_numbers_have_upstreams_defaults() -> None:
    assert Timing.parse({}) == Timing(initial_delay=0, period=10, timeout=1, success_threshold=1, failure_threshold=3)
    assert Timing.parse({"periodSeconds": 2, "timeoutSeconds": 5}).timeout == 5
