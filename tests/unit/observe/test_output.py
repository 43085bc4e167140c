"""The output of a service's pods, merged as it comes."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from fakes.observed import Observed
from fakes.promotion_world import REGISTRY
from towpath.errors import NotFoundError
from towpath.kube.errors import BadRequestError
from towpath.kube.objects import Object
from towpath.kube.requests import LogOptions
from towpath.observe.output import ServiceOutput


def pod(name: str, *, service: str = "sensor", namespace: str = "dev") -> Object:
    container = {"name": "main", "image": f"{REGISTRY}/{service}:canary"}
    helper = {"name": "helper", "image": "docker.io/library/helper:1"}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [helper, container]}}


class Logs:
    """Satisfies `PodLogs`: chunks by pod; `hold` keeps a stream open until it is cancelled."""

    def __init__(self, chunks: dict[str, list[bytes]]) -> None:
        self.chunks = chunks
        self.failing: set[str] = set()
        self.broken: set[str] = set()
        self.hold = False
        self.asked: list[tuple[str, str, LogOptions]] = []
        self.closed = 0
        self.produced = 0

    async def logs(self, namespace: str, pod: str, container: str, **options: object) -> AsyncIterator[bytes]:
        self.asked.append((f"{namespace}/{pod}", container, options))  # type: ignore[arg-type]
        try:
            if pod in self.failing:
                raise BadRequestError(f"container of {pod} is waiting to start")
            for chunk in self.chunks[pod]:
                self.produced += 1
                yield chunk
                await asyncio.sleep(0)
            if pod in self.broken:
                raise RuntimeError("a fault of ours")
            if self.hold:
                await asyncio.Event().wait()
        finally:
            self.closed += 1


async def read(output: ServiceOutput, *, environment: str = "", service: str = "sensor", only: str = "") -> list[bytes]:
    opened = await output.open(
        environment=environment, service=service, pod=only, follow=False, previous=False, tail=100
    )
    return [line async for line in opened]


async def test_the_lines_of_one_pod_are_passed_on_as_they_are(observed: Observed) -> None:
    observed.cluster.objects = [pod("sensor-0"), pod("lamp-0", service="lamp")]
    logs = Logs({"sensor-0": [b"on", b"e\ntwo\n", b"three"]})

    lines = await read(ServiceOutput(observed.sources, logs))

    assert lines == [b"one\n", b"two\n", b"three\n"]
    assert logs.asked == [("dev/sensor-0", "main", {"previous": False, "follow": False, "tail_lines": 100})]


async def test_several_pods_are_told_apart_line_by_line(observed: Observed) -> None:
    observed.cluster.objects = [pod("sensor-0"), pod("sensor-1")]
    logs = Logs({"sensor-0": [b"a\n", b"b\n"], "sensor-1": [b"c\n"]})
    output = ServiceOutput(observed.sources, logs)

    assert sorted(await read(output)) == [b"[sensor-0] a\n", b"[sensor-0] b\n", b"[sensor-1] c\n"]
    assert await read(output, only="sensor-1") == [b"c\n"]


async def test_a_pod_that_has_not_started_does_not_hide_the_others(observed: Observed) -> None:
    observed.cluster.objects = [pod("sensor-0"), pod("sensor-1")]
    logs = Logs({"sensor-0": [b"a\n"], "sensor-1": []})
    logs.failing = {"sensor-1"}

    lines = await read(ServiceOutput(observed.sources, logs))

    assert sorted(lines) == [b"[sensor-0] a\n", b"[sensor-1] (container of sensor-1 is waiting to start)\n"]


async def test_a_stream_that_breaks_ends_alone(observed: Observed, caplog: pytest.LogCaptureFixture) -> None:
    observed.cluster.objects = [pod("sensor-0"), pod("sensor-1")]
    logs = Logs({"sensor-0": [b"a\n"], "sensor-1": [b"c\n"]})
    logs.broken = {"sensor-1"}

    assert len(await read(ServiceOutput(observed.sources, logs))) == 2
    assert "ended early" in caplog.text


async def test_a_slow_reader_slows_the_pods_down(observed: Observed) -> None:
    observed.cluster.objects = [pod("sensor-0")]
    logs = Logs({"sensor-0": [b"line\n"] * 5000})
    opened = await ServiceOutput(observed.sources, logs).open(
        environment="dev", service="sensor", pod="", follow=True, previous=False, tail=1
    )

    assert await anext(opened) == b"line\n"
    for _ in range(2000):
        await asyncio.sleep(0)
    assert logs.produced < 300
    assert len([line async for line in opened]) == 4999


async def test_a_reader_who_leaves_ends_every_stream(observed: Observed) -> None:
    observed.cluster.objects = [pod("sensor-0"), pod("sensor-1")]
    logs = Logs({"sensor-0": [b"a\n"], "sensor-1": [b"c\n"]})
    logs.hold = True
    opened = await ServiceOutput(observed.sources, logs).open(
        environment="dev", service="sensor", pod="", follow=True, previous=False, tail=1
    )

    async def follow() -> None:
        async for _ in opened:
            pass

    reader = asyncio.create_task(follow())
    async with asyncio.timeout(120):
        while logs.produced < 2:  # noqa: ASYNC110 - the fake sets no event
            await asyncio.sleep(0)
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)

    assert logs.closed == 2


async def test_what_does_not_exist_is_refused_before_the_first_line(observed: Observed) -> None:
    output = ServiceOutput(observed.sources, Logs({}))
    for arguments, message in (
        ({"service": "lamp"}, "service lamp"),
        ({"environment": "staging"}, "environment staging"),
        ({}, "dev has not a pod of it"),
        ({"only": "sensor-9"}, "dev has not pod sensor-9 of it"),
    ):
        with pytest.raises(NotFoundError, match=message):
            await read(output, **arguments)
