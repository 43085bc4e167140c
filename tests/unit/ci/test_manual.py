"""A build by hand: all tags or none, an artifact tag that never moves, one question when nothing changed."""

from dataclasses import replace
from pathlib import Path

import pytest

from fakes.clock import VirtualClock
from fakes.image_builder import FakeImageBuilder
from fakes.memory_registry import MemoryRegistry
from fakes.source_trees import REGISTRY, MemorySourceTrees
from towpath.ci.batch import Batch, ServiceRun
from towpath.ci.manual import ManualBuild
from towpath.ci.manual_push import ManualPush
from towpath.ci.order import Order, WorkContext
from towpath.ci.planning import Planner
from towpath.ci.publication import Publication, TagCollisionError
from towpath.ci.run import CommitRun
from towpath.ci.signing import Signing
from towpath.errors import RemoteError, UserError
from towpath.oci.reference import Reference
from towpath.oci.tags import sha_tag
from towpath.ociclient.errors import Failure, PullCause, PullError


class Silent:
    """Satisfies `Recorder`."""

    def stamp(self, commit: str, stage: str, *, environment: str = "") -> None:
        """Nobody asks."""


class Manual:
    """Both halves of one command."""

    def __init__(self, build: ManualBuild, push: ManualPush) -> None:
        self.build = build.build
        self.push = push.push


class Bench:
    """A commit of two services, a registry, and the build by hand over them."""

    def __init__(self, tmp_path: Path) -> None:
        self.tmp_path = tmp_path
        self.source = MemorySourceTrees()
        self.registry = MemoryRegistry()
        self.builder = FakeImageBuilder(self.registry)
        self.commands = 0

    @property
    def manual(self) -> Manual:
        """One a command, each with a directory of its own."""
        self.commands += 1
        batch = Batch(self.builder, self.source.export, clock=VirtualClock(), parallel=2)
        planner = Planner(self.source, Publication(self.registry))
        build = ManualBuild(batch, workdir=self.tmp_path / f"work{self.commands}")
        signing = Signing(self.builder, self.source, workdir=self.tmp_path / f"work{self.commands}")
        push = ManualPush(batch, self.registry, builder=self.builder, planner=planner, signing=signing)
        return Manual(build, push)

    async def order(self, tag: str = "") -> Order:
        snapshot = await self.source.snapshot(self.source.commit({"chaos": "one", "sensor": "one"}, commit="a" * 40))
        return Order(snapshot, tuple(snapshot.blueprint.services.values()), tag or sha_tag(snapshot.commit))

    async def publish(self, order: Order) -> list[ServiceRun]:
        manual = self.manual
        runs = await manual.build(order)
        await manual.push(order, runs)
        return runs

    def tags(self) -> dict[str, str]:
        return {repository.rpartition("/")[2]: tag for repository, tag in self.registry.tags_}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_every_service_is_built_pushed_and_tagged(bench: Bench) -> None:
    runs = await bench.publish(await bench.order())

    assert [run.published for run in runs] == [True, True]
    assert bench.tags() == {"chaos": "sha-aaaaaaa", "sensor": "sha-aaaaaaa"}


async def test_a_failed_build_is_in_its_run_and_the_other_service_is_built(bench: Bench) -> None:
    bench.builder.failures["chaos"] = UserError("no")
    chaos, sensor = await bench.manual.build(await bench.order())

    assert isinstance(chaos.error, UserError)
    assert (sensor.error, sensor.image is not None) == (None, True)


async def test_when_one_push_fails_no_tag_is_set(bench: Bench) -> None:
    def refuse(operation: str) -> None:
        if operation.startswith(f"push_blob {REGISTRY}/sensor"):
            raise RemoteError("the disk is full")

    bench.registry.before = refuse
    runs = await bench.publish(await bench.order())

    assert [run.error is None for run in runs] == [True, False]
    assert bench.tags() == {}


async def test_what_is_published_already_is_not_sent_again(bench: Bench) -> None:
    order = await bench.order()
    await bench.publish(order)
    asked: list[str] = []
    bench.registry.before = asked.append
    runs = await bench.publish(replace(order, services=order.services[:1]))

    assert [run.published for run in runs] == [True]
    assert asked == [f"resolve {REGISTRY}/chaos:sha-aaaaaaa"], "one question, and none of the other service"


async def test_of_what_is_not_asked_for_the_registry_is_not_asked_either(bench: Bench) -> None:
    order = await bench.order()
    asked: list[str] = []
    bench.registry.before = asked.append
    runs = await bench.publish(replace(order, services=order.services[:1]))

    assert [run.published for run in runs] == [True]
    assert asked
    assert [line for line in asked if "/sensor" in line] == []


async def test_an_artifact_tag_that_names_another_image_is_refused_before_anything_is_sent(bench: Bench) -> None:
    order = await bench.order()
    await bench.publish(order)
    other = bench.source.commit({"chaos": "two", "sensor": "two"}, commit="b" * 40)
    moved = replace(order, snapshot=await bench.source.snapshot(other))
    bench.registry.log.clear()
    runs = await bench.publish(moved)

    assert all(isinstance(run.error, TagCollisionError) for run in runs)
    assert bench.registry.log == []


async def test_a_registry_that_tells_nothing_of_what_is_not_there_is_pushed_to_all_the_same(bench: Bench) -> None:
    def deny(operation: str) -> None:
        verb, _, rest = operation.partition(" ")
        reference = Reference.parse(rest) if verb in {"resolve", "manifest"} else None
        known = reference and any(name == reference.name for name, _ in bench.registry.manifests)
        if reference and not known:
            raise PullError(reference, Failure(PullCause.TOKEN_REFUSED, "denied", 403))

    bench.registry.before = deny
    runs = await bench.publish(await bench.order())

    assert [run.error for run in runs] == [None, None]
    assert bench.tags() == {"chaos": "sha-aaaaaaa", "sensor": "sha-aaaaaaa"}


async def test_a_channel_moves(bench: Bench) -> None:
    order = await bench.order("try-1")
    await bench.publish(order)
    other = bench.source.commit({"chaos": "two", "sensor": "two"}, commit="b" * 40)
    runs = await bench.publish(replace(order, snapshot=await bench.source.snapshot(other)))

    image = runs[1].image
    assert image is not None
    named = await bench.registry.resolve(Reference.parse(f"{REGISTRY}/sensor:try-1"))
    assert named.digest == image.descriptor.digest


async def test_a_service_that_an_ancestor_built_from_the_same_tree_is_taken_over_as_ci_does(bench: Bench) -> None:
    first = bench.source.commit({"chaos": "one", "sensor": "one"}, commit="a" * 40)
    publication = Publication(bench.registry)
    run = CommitRun(
        source=bench.source,
        builder=bench.builder,
        publication=publication,
        recorder=Silent(),
        clock=VirtualClock(),
        workdir=bench.tmp_path / "ci",
        parallel=1,
    )
    published = (await run.run(await bench.source.snapshot(first))).artifact_set
    assert published is not None
    bench.registry.log.clear()
    snapshot = await bench.source.snapshot(bench.source.commit({"chaos": "one", "sensor": "two"}, commit="b" * 40))
    order = Order(snapshot, tuple(snapshot.blueprint.services.values()), sha_tag(snapshot.commit))
    chaos, sensor = await bench.publish(order)

    assert (chaos.carried, sensor.carried) == (published.artifacts["chaos"].descriptor, None)
    assert chaos.descriptor == chaos.carried
    assert bench.tags() == {"chaos": "sha-bbbbbbb", "sensor": "sha-bbbbbbb", "sets": "sha-aaaaaaa"}
    assert [line for line in bench.registry.log if "chaos" in line] == ["manifest home/chaos:sha-bbbbbbb"]


async def test_with_a_key_what_is_published_already_is_signed(bench: Bench) -> None:
    order = await bench.order()
    await bench.publish(order)
    bench.builder.key = True
    bench.registry.log.clear()
    runs = await bench.publish(order)

    assert [run.signed for run in runs] == [True, True]
    assert {repository for repository, _ in bench.builder.signed} == {"home/chaos", "home/sensor"}
    assert bench.registry.log == []


async def test_a_key_that_fails_keeps_every_tag_from_being_set(bench: Bench) -> None:
    bench.builder.unusable_key = UserError("key cannot be read")
    runs = await bench.publish(await bench.order())

    assert [isinstance(run.error, UserError) for run in runs] == [True, True]
    assert bench.tags() == {}


async def published_unsigned(bench: Bench) -> ServiceRun:
    """The service `chaos` of a second commit, taken over from a first one that was published without a key."""
    await bench.publish(await bench.order())
    run = CommitRun(
        source=bench.source,
        builder=bench.builder,
        publication=Publication(bench.registry),
        recorder=Silent(),
        clock=VirtualClock(),
        workdir=bench.tmp_path / "ci",
        parallel=1,
    )
    await run.run(await bench.source.snapshot("a" * 40))
    bench.builder.key = True
    snapshot = await bench.source.snapshot(bench.source.commit({"chaos": "one", "sensor": "two"}, commit="b" * 40))
    chaos, _ = await bench.publish(Order(snapshot, tuple(snapshot.blueprint.services.values()), "sha-bbbbbbb"))
    return chaos


async def test_an_ancestors_image_that_is_remembered_is_signed_and_taken_over(bench: Bench) -> None:
    tree = (await bench.source.snapshot((await bench.order()).snapshot.commit)).trees["chaos"]
    bench.source = MemorySourceTrees()
    bench.builder.remembered["chaos", str(tree)] = b"one"
    chaos = await published_unsigned(bench)

    assert chaos.carried is not None
    assert (chaos.signed, chaos.published) == (True, True)
    assert ("home/chaos", chaos.carried.digest) in bench.builder.signed


async def test_an_ancestors_image_that_cannot_be_signed_is_not_taken_over(bench: Bench) -> None:
    chaos = await published_unsigned(bench)

    assert (chaos.carried, chaos.signed, chaos.published, chaos.error) == (None, True, True, None)


async def test_a_work_tree_is_built_where_it_stands_and_as_no_tree_of_gits(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("as it stands")
    order = await bench.order("dirty-aaaaaaa")
    contexts = {service.name: WorkContext(tmp_path, frozenset({"main.py"})) for service in order.services}
    runs = await bench.manual.build(replace(order, contexts=contexts))

    assert [(run.context, run.only, run.build.tree_id) for run in runs] == [(tmp_path, frozenset({"main.py"}), "")] * 2
    assert bench.source.exported == []
