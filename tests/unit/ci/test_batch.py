"""Services on their way through the steps: side by side, each with its own error."""

import asyncio
from pathlib import Path

import pytest

from fakes.clock import VirtualClock
from fakes.image_builder import FakeImageBuilder
from fakes.memory_registry import MemoryRegistry
from fakes.source_trees import MemorySourceTrees
from towpath.ci.batch import Batch, ServiceRun, Step
from towpath.ci.plan import Build
from towpath.ci.ports import Snapshot
from towpath.errors import UserError
from towpath.oci.tags import sha_tag


class Notes:
    """Satisfies `Watcher`."""

    def __init__(self) -> None:
        self.said: list[tuple[object, ...]] = []

    def began(self, service: str, step: Step, /) -> None:
        self.said.append((service, "began", str(step)))

    def sent(self, service: str, count: int, /) -> None:
        self.said.append((service, "sent", count > 0))

    def ended(
        self, service: str, step: Step, /, *, failed: bool, cached: bool = False, interrupted: bool = False
    ) -> None:
        how = "interrupted" if interrupted else "failed" if failed else "cached" if cached else "ended"
        self.said.append((service, how, str(step)))


async def prepare(tmp_path: Path) -> tuple[Batch, FakeImageBuilder, Notes, Snapshot, list[ServiceRun]]:
    source, registry, notes = MemorySourceTrees(), MemoryRegistry(), Notes()
    snapshot = await source.snapshot(source.commit({"chaos": "one", "sensor": "one"}))
    builder = FakeImageBuilder(registry)
    batch = Batch(builder, source.export, clock=VirtualClock(), parallel=1, watcher=notes)
    runs = [
        ServiceRun(Build(service, "tree", "mark", "new"), tmp_path / service.name)
        for service in snapshot.blueprint.services.values()
    ]
    return batch, builder, notes, snapshot, runs


async def test_every_step_of_every_service_is_told(tmp_path: Path) -> None:
    batch, _, notes, snapshot, runs = await prepare(tmp_path)
    await batch.export(snapshot, runs)
    await batch.build(snapshot, runs, tag=sha_tag(snapshot.commit))
    await batch.push(snapshot.blueprint, runs)

    assert [said for said in notes.said if said[0] == "sensor"] == [
        ("sensor", "began", "exporting"),
        ("sensor", "ended", "exporting"),
        ("sensor", "began", "building"),
        ("sensor", "ended", "building"),
        ("sensor", "began", "pushing"),
        ("sensor", "sent", True),
        ("sensor", "sent", True),
        ("sensor", "ended", "pushing"),
    ]
    assert all(run.sent > 0 for run in runs)


async def test_one_failure_is_its_services_own(tmp_path: Path) -> None:
    batch, builder, notes, snapshot, runs = await prepare(tmp_path)
    builder.failures["chaos"] = UserError("chaos cannot be built")
    await batch.export(snapshot, runs)
    await batch.build(snapshot, runs, tag="t")
    await batch.push(snapshot.blueprint, runs)

    chaos, sensor = runs
    assert (chaos.error, chaos.image) == (builder.failures["chaos"], None)
    assert sensor.error is None
    assert ("chaos", "failed", "building") in notes.said
    assert ("chaos", "began", "pushing") not in notes.said


async def test_a_tree_that_was_built_before_is_neither_exported_nor_built(tmp_path: Path) -> None:
    batch, builder, notes, snapshot, runs = await prepare(tmp_path)
    builder.remembered["sensor", "tree"] = b"as before"
    await batch.recall(snapshot, runs, tag="t")
    await batch.export(snapshot, runs)
    await batch.build(snapshot, runs, tag="t")

    chaos, sensor = runs
    assert [name for name, _ in builder.built] == ["chaos"]
    assert (chaos.context.exists(), sensor.context.exists()) == (True, False)
    assert sensor.image is not None
    assert [said for said in notes.said if said[0] == "sensor"] == [("sensor", "cached", "building")]
    assert next(said for said in notes.said if said[0] == "chaos") == ("chaos", "began", "exporting")


async def test_a_service_that_cannot_be_looked_up_has_failed(tmp_path: Path) -> None:
    batch, builder, notes, snapshot, runs = await prepare(tmp_path)
    builder.forgetful["chaos"] = UserError("no base")
    await batch.recall(snapshot, runs, tag="t")
    await batch.export(snapshot, runs)

    chaos, sensor = runs
    assert (chaos.error, sensor.error) == (builder.forgetful["chaos"], None)
    assert notes.said[0] == ("chaos", "failed", "building")
    assert not chaos.context.exists()


async def test_a_build_that_is_stopped_is_neither_built_nor_failed(tmp_path: Path) -> None:
    batch, builder, notes, snapshot, runs = await prepare(tmp_path)
    await batch.export(snapshot, runs[:1])
    builder.gates[snapshot.commit] = asyncio.Event()
    building = asyncio.create_task(batch.build(snapshot, runs[:1], tag=sha_tag(snapshot.commit)))
    for _ in range(10):
        await asyncio.sleep(0)  # a turn of the event loop for each step up to the gate
    assert builder.running == 1
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building

    assert notes.said[-1] == ("chaos", "interrupted", "building")
    assert runs[0].error is None
