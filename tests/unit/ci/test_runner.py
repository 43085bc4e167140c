"""CI over pushes: complete sets, one channel that never goes back, and no commit lost to failures or crashes."""

import asyncio
import errno
import math
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from fakes.clock import VirtualClock
from fakes.image_builder import FakeImageBuilder
from fakes.memory_registry import MemoryRegistry
from fakes.source_trees import REGISTRY, MemorySourceTrees
from towpath.ci.publication import Publication
from towpath.ci.report import CiReport, Outcome, ServiceOutcome
from towpath.ci.run import CommitRun
from towpath.ci.runner import Runner
from towpath.ci.sets import ArtifactSet, parse_set
from towpath.errors import NotFoundError, RemoteError, UserError
from towpath.oci import media
from towpath.oci.annotations import REVISION, TREE
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.image import ImageConfig, format_image_config
from towpath.oci.manifest import Manifest, format_manifest
from towpath.oci.platform import Platform
from towpath.oci.reference import Reference
from towpath.oci.tags import sha_tag

SETS = Reference.parse(f"{REGISTRY}/sets")


class StampLog:
    """Satisfies `Recorder`."""

    def __init__(self) -> None:
        self.stamps: list[tuple[str, str]] = []

    def stamp(self, commit: str, stage: str, *, environment: str = "") -> None:
        assert environment == ""
        self.stamps.append((commit, stage))


class World:
    """A repository, a registry and a builder that outlive runners, and the runner of the moment."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.source = MemorySourceTrees()
        self.registry = MemoryRegistry()
        self.builder = FakeImageBuilder(self.registry)
        self.clock = VirtualClock()
        self.recorder = StampLog()
        self.reports: list[CiReport] = []
        self.runner = self.make_runner()

    def make_runner(self) -> Runner:
        publication = Publication(self.registry)
        commit_run = CommitRun(
            source=self.source,
            builder=self.builder,
            publication=publication,
            recorder=self.recorder,
            clock=self.clock,
            workdir=self.data / "work",
            parallel=2,
        )
        return Runner(
            source=self.source,
            commit_run=commit_run,
            publication=publication,
            recorder=self.recorder,
            clock=self.clock,
            data=self.data / "ci",
            on_report=self.reports.append,
        )

    async def restart(self) -> None:
        await self.runner.close()
        self.runner = self.make_runner()
        await self.runner.start()

    async def push(self, commit: str) -> None:
        assert await self.runner.receive(ref="refs/heads/main", after=commit, branch="main")

    async def push_and_settle(self, services: dict[str, str | None], **options: object) -> str:
        commit = self.source.commit(services, **options)  # type: ignore[arg-type]
        await self.push(commit)
        await self.runner.settled()
        return commit

    async def set_of(self, commit: str) -> ArtifactSet | None:
        digest = self.registry.tags_.get((SETS.name, sha_tag(commit)))
        return parse_set(self.registry.manifests[SETS.name, digest].content) if digest else None

    def channel(self) -> str | None:
        """The commit the channel is at, by its finished mark; every service's channel tag must agree."""
        digest = self.registry.tags_.get((SETS.name, "canary"))
        if digest is None:
            return None
        found = parse_set(self.registry.manifests[SETS.name, digest].content)
        for name, artifact in found.artifacts.items():
            assert self.registry.tags_[f"{REGISTRY}/{name}", "canary"] == artifact.descriptor.digest
        return found.commit

    def stages(self, commit: str) -> list[str]:
        return [stage for stamped, stage in self.recorder.stamps if stamped == commit]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    await world.runner.start()
    yield world
    await world.runner.close()


async def test_a_first_push_builds_everything_and_moves_the_channel(world: World) -> None:
    commit = await world.push_and_settle({"sensor": "v1", "chaos": "v1"})

    assert sorted(world.builder.built) == [("chaos", commit), ("sensor", commit)]
    assert world.channel() == commit
    assert world.stages(commit) == ["fetched", "built", "pushed"]
    [report] = world.reports
    assert (report.outcome, report.channel, report.tag) == (Outcome.PUBLISHED, "canary", sha_tag(commit))


async def test_unaffected_services_are_carried_with_their_digest_and_revision(world: World) -> None:
    first = await world.push_and_settle({"sensor": "v1", "chaos": "v1"})
    second = await world.push_and_settle({"sensor": "v2", "chaos": "v1"})
    before, after = await world.set_of(first), await world.set_of(second)

    assert before is not None
    assert after is not None
    assert world.builder.built[2:] == [("sensor", second)]
    assert after.artifacts["chaos"] == before.artifacts["chaos"]
    assert after.artifacts["chaos"].revision == first
    tag = world.registry.tags_[f"{REGISTRY}/chaos", sha_tag(second)]
    assert tag == before.artifacts["chaos"].descriptor.digest
    assert [service.outcome for service in world.reports[-1].services] == [
        ServiceOutcome.CARRIED,
        ServiceOutcome.BUILT,
    ]


async def test_a_commit_that_touches_no_service_gets_a_set_without_a_build(world: World) -> None:
    await world.push_and_settle({"sensor": "v1"})
    second = await world.push_and_settle({"sensor": "v1"})

    assert len(world.builder.built) == 1
    assert world.channel() == second


async def test_a_revert_carries_the_image_it_goes_back_to(world: World) -> None:
    first = await world.push_and_settle({"sensor": "good"})
    await world.push_and_settle({"sensor": "bad"})
    third = await world.push_and_settle({"sensor": "good"})
    found = await world.set_of(third)

    assert found is not None
    assert found.artifacts["sensor"].revision == first
    assert len(world.builder.built) == 2


async def test_an_image_of_a_dropped_commit_is_not_carried_after_a_force_push(world: World) -> None:
    first = await world.push_and_settle({"sensor": "v1"})
    await world.push_and_settle({"sensor": "v2"})
    forced = await world.push_and_settle({"sensor": "v2"}, parent=first)
    found = await world.set_of(forced)

    assert found is not None
    assert found.artifacts["sensor"].revision == forced
    assert world.channel() == forced


async def test_a_force_push_backwards_takes_the_channel_back_with_the_branch(world: World) -> None:
    first = await world.push_and_settle({"sensor": "v1"})
    await world.push_and_settle({"sensor": "v2"})
    world.source.head = first
    await world.push(first)
    await world.runner.settled()

    assert world.channel() == first


@pytest.mark.parametrize(
    ("ref", "after"),
    [("refs/heads/main", "0" * 40), ("refs/heads/feature", "1" * 40), ("refs/tags/v1", "1" * 40)],
)
async def test_other_refs_and_deletions_start_nothing(world: World, ref: str, after: str) -> None:
    assert not await world.runner.receive(ref=ref, after=after, branch="main")
    await world.runner.settled()
    assert world.reports == []


async def test_an_empty_repository_starts_and_waits(world: World) -> None:
    await world.runner.settled()

    assert world.reports == []


async def test_a_platform_without_services_publishes_an_empty_set(world: World) -> None:
    commit = await world.push_and_settle({})

    assert world.channel() == commit


async def test_two_pushes_at_once_both_get_sets_and_the_channel_goes_to_the_newer(world: World) -> None:
    first = world.source.commit({"sensor": "v1"})
    second = world.source.commit({"sensor": "v2"})
    await asyncio.gather(world.push(first), world.push(second))
    await world.runner.settled()

    assert await world.set_of(first) is not None
    assert await world.set_of(second) is not None
    assert world.channel() == second


async def test_a_slow_commit_does_not_hold_up_the_newest_and_is_finished_later(world: World) -> None:
    slow = world.source.commit({"sensor": "slow"})
    world.builder.gates[slow] = asyncio.Event()
    await world.push(slow)
    fast = world.source.commit({"sensor": "fast"})
    await world.push(fast)
    await until(lambda: world.channel() == fast)
    assert await world.set_of(slow) is None

    world.builder.gates[slow].set()
    await world.runner.settled()
    assert await world.set_of(slow) is not None
    assert world.channel() == fast, "the channel never moves backwards"


async def test_the_newest_waiting_commit_goes_first(world: World) -> None:
    gate = asyncio.Event()
    commits = [world.source.commit({"sensor": f"v{number}"}) for number in range(6)]
    for commit in commits:
        world.builder.gates[commit] = gate
        await world.push(commit)
    gate.set()
    await world.runner.settled()

    # Two were taken before the others came; of those that waited, the newest was first. Two are worked on side by side,
    # so either may be done before the other.
    waited = [commit for _, commit in world.builder.built][2:]
    wanted = list(reversed(commits))[:4]
    assert sorted(waited) == sorted(wanted)
    assert all(abs(waited.index(commit) - place) <= 1 for place, commit in enumerate(wanted))
    assert world.channel() == commits[-1]


async def test_services_are_built_side_by_side_up_to_the_bound(world: World) -> None:
    await world.push_and_settle({f"service{number}": "v1" for number in range(6)})

    assert world.builder.most_running == 2


async def test_one_failed_service_publishes_nothing_and_reports_all(world: World) -> None:
    world.builder.failures["sensor"] = UserError("service sensor has no entrypoint", hint="add a main.py")
    commit = await world.push_and_settle({"sensor": "v1", "chaos": "v1"})

    assert await world.set_of(commit) is None
    assert world.registry.tags_ == {}
    [report] = world.reports
    assert report.outcome is Outcome.FAILED
    assert "sensor could not be built" in report.error
    sensor = next(service for service in report.services if service.service == "sensor")
    assert sensor.error == "service sensor has no entrypoint\n  next: add a main.py"
    assert world.runner.find_report(commit) == report


async def test_a_full_disk_is_named_with_the_next_step(world: World) -> None:
    world.builder.failures["sensor"] = OSError(errno.ENOSPC, "No space left on device")
    await world.push_and_settle({"sensor": "v1"})

    assert "No space left on device\n  next: free space" in world.reports[0].services[0].error


async def test_a_report_that_the_disk_does_not_take_is_told_all_the_same(world: World) -> None:
    reports = world.data / "ci" / "reports"
    reports.rmdir()
    reports.write_bytes(b"")
    world.builder.failures["sensor"] = UserError("no")
    commit = await world.push_and_settle({"sensor": "s1"})
    report = world.runner.find_report(commit)
    assert report is not None
    assert (report.outcome, report.services[0].error) == (Outcome.FAILED, "no")
    reports.unlink()
    reports.mkdir()
    world.builder.failures.clear()
    await world.push(commit)
    await world.runner.settled()
    kept = world.runner.find_report(commit)
    assert kept is not None
    assert kept.outcome is Outcome.PUBLISHED


async def test_what_the_user_can_mend_is_not_retried_until_a_new_commit(world: World) -> None:
    world.builder.failures["sensor"] = UserError("no entrypoint")
    await world.push_and_settle({"sensor": "v1"})
    await world.clock.advance(3600)
    await world.runner.settled()
    assert len(world.reports) == 1

    world.builder.failures.clear()
    commit = await world.push_and_settle({"sensor": "v2"})
    assert world.channel() == commit


@pytest.mark.parametrize(
    "error",
    [RemoteError("registry answered 500"), OSError(errno.ENOSPC, "No space left on device"), RuntimeError("bug")],
)
async def test_what_nobody_here_can_mend_is_retried_with_back_off(world: World, error: Exception) -> None:
    world.builder.failures["sensor"] = error
    commit = await world.push_and_settle({"sensor": "v1"})
    assert [report.outcome for report in world.reports] == [Outcome.RETRYING]
    world.builder.failures.clear()
    await wait_for_sleepers(world)
    await world.clock.advance(1.0)
    await wait_for_channel(world, commit)

    assert [(report.attempt, report.outcome) for report in world.reports] == [
        (1, Outcome.RETRYING),
        (2, Outcome.PUBLISHED),
    ]


async def test_a_superseded_commit_is_given_up_after_ten_attempts(world: World) -> None:
    world.builder.failures["sensor"] = RemoteError("base is gone")
    old = world.source.commit({"sensor": "v1"})
    world.source.commit({"sensor": "v1", "chaos": "v1"})
    await world.push(old)
    for _ in range(9):
        await wait_for_sleepers(world)
        await world.clock.advance(60)
    await until(lambda: len(world.reports) == 10)

    assert [report.attempt for report in world.reports] == list(range(1, 11))
    assert world.reports[-1].outcome is Outcome.FAILED


async def test_when_the_newest_fails_the_channel_goes_to_the_newest_published_ancestor(world: World) -> None:
    slow = world.source.commit({"sensor": "good"})
    world.builder.gates[slow] = asyncio.Event()
    await world.push(slow)
    broken = world.source.commit({}, broken=UserError("towpath.yaml is invalid"))
    world.builder.gates[slow].set()
    await world.push(broken)
    await world.runner.settled()

    assert world.runner.find_report(broken) is not None
    assert world.channel() == slow


async def test_a_failed_newest_commit_never_takes_the_channel_back(world: World) -> None:
    first = await world.push_and_settle({"sensor": "v1"})
    second = await world.push_and_settle({"sensor": "v2"})
    for _ in range(2):
        await world.push_and_settle({}, broken=UserError("towpath.yaml is invalid"))
    await world.push(first)
    await world.runner.settled()

    assert world.channel() == second


async def test_a_commit_pushed_again_while_it_is_worked_on_is_looked_at_again(world: World) -> None:
    commit = world.source.commit({"sensor": "v1"})
    world.builder.gates[commit] = asyncio.Event()
    await world.push(commit)
    await until(lambda: world.builder.running > 0)
    await world.push(commit)
    world.builder.gates[commit].set()
    await world.runner.settled()

    assert [report.outcome for report in world.reports] == [Outcome.PUBLISHED, Outcome.PUBLISHED]
    assert len(world.builder.built) == 1


async def test_a_report_that_cannot_be_kept_does_not_stop_the_loop(world: World) -> None:
    reports = world.data / "ci" / "reports"
    reports.rmdir()
    reports.write_text("in the way")
    commit = await world.push_and_settle({"sensor": "v1"})

    assert world.channel() == commit
    assert world.reports[0].outcome is Outcome.PUBLISHED


async def test_a_broken_blueprint_is_reported_with_its_text(world: World) -> None:
    await world.push_and_settle({}, broken=UserError("towpath.yaml:3: services.sensor.port: got x, expected a number"))

    assert "towpath.yaml:3" in world.reports[0].error
    assert world.reports[0].outcome is Outcome.FAILED


async def test_a_service_directory_that_vanished_is_named(world: World) -> None:
    await world.push_and_settle({"sensor": None, "chaos": "v1"})

    assert "no directory for sensor (services/sensor)" in world.reports[0].error
    assert world.builder.built == []


async def test_a_service_named_like_the_repository_of_sets_is_refused(world: World) -> None:
    await world.push_and_settle({"sets": "v1"})

    assert "NameTaken" in world.reports[0].error


async def test_a_commit_that_is_gone_is_finished_not_retried(world: World) -> None:
    await world.push("9" * 40)
    await world.runner.settled()

    assert world.reports[0].outcome is Outcome.FAILED
    assert "NotFound" in world.reports[0].error


async def test_a_carried_image_that_is_gone_from_the_registry_is_built_again(world: World) -> None:
    first = await world.push_and_settle({"sensor": "v1", "chaos": "v1"})
    found = await world.set_of(first)
    assert found is not None
    del world.registry.manifests[f"{REGISTRY}/chaos", found.artifacts["chaos"].descriptor.digest]
    second = await world.push_and_settle({"sensor": "v2", "chaos": "v1"})

    assert sorted(world.builder.built[2:]) == [("chaos", second), ("sensor", second)]
    assert world.channel() == second


async def test_a_collision_of_short_ids_is_an_error_and_overwrites_nothing(world: World) -> None:
    first = await world.push_and_settle({"sensor": "v1"}, commit="abcdef0" + "1" * 33)
    before = dict(world.registry.tags_)
    await world.push_and_settle({"sensor": "v2"}, commit="abcdef0" + "2" * 33)

    assert "TagCollision" in world.reports[-1].error
    assert world.reports[-1].outcome is Outcome.FAILED
    assert world.registry.tags_ == before
    assert world.channel() == first


async def test_a_commit_received_before_a_crash_is_built_after_it(world: World) -> None:
    pushed = world.source.commit({"sensor": "v1"})
    world.builder.gates[pushed] = asyncio.Event()
    await world.push(pushed)
    newer = world.source.commit({"sensor": "v2"})
    world.builder.gates[newer] = world.builder.gates[pushed]
    await world.push(newer)
    await world.runner.close()
    assert world.channel() is None

    world.builder.gates.clear()
    await world.restart()
    await world.runner.settled()
    assert await world.set_of(pushed) is not None
    assert world.channel() == newer


async def test_a_commit_nobody_announced_is_built_at_the_next_start(world: World) -> None:
    commit = world.source.commit({"sensor": "v1"})
    await world.restart()
    await world.runner.settled()

    assert world.channel() == commit


async def test_a_restart_with_nothing_to_do_writes_nothing(world: World) -> None:
    await world.push_and_settle({"sensor": "v1"})
    world.registry.log.clear()
    await world.restart()
    await world.runner.settled()

    assert world.registry.log == []
    assert len(world.builder.built) == 1


async def test_a_crash_at_any_request_is_made_good_at_the_next_start(tmp_path: Path) -> None:
    crashed_at, finished = 0, False
    while not finished:
        crashed_at += 1
        world = World(tmp_path / str(crashed_at))
        await world.runner.start()
        await world.push_and_settle({"sensor": "v1", "chaos": "v1"})
        world.registry.silent_from = world.registry.requests + crashed_at
        commit = world.source.commit({"sensor": "v2", "chaos": "v1"})
        await world.push(commit)
        settled = asyncio.create_task(world.runner.settled())
        crashing = asyncio.create_task(world.registry.silent.wait())
        await asyncio.wait({settled, crashing}, return_when=asyncio.FIRST_COMPLETED)
        finished = settled.done()
        settled.cancel()
        crashing.cancel()
        await world.runner.close()
        world.registry.silent_from = math.inf
        await world.restart()
        await world.runner.settled()
        assert world.channel() == commit
        found = await world.set_of(commit)
        assert found is not None
        assert (
            world.registry.tags_[f"{REGISTRY}/sensor", sha_tag(commit)] == found.artifacts["sensor"].descriptor.digest
        )
        assert list((tmp_path / str(crashed_at) / "ci" / "pending").iterdir()) == []
        await world.runner.close()

    assert crashed_at > 15


async def test_exports_do_not_stay_behind(world: World) -> None:
    world.builder.failures["chaos"] = UserError("no entrypoint")
    await world.push_and_settle({"sensor": "v1", "chaos": "v1"})

    assert not list(world.data.glob("work/*"))


async def test_a_registry_that_is_down_delays_but_loses_nothing(world: World) -> None:
    def refuse(_operation: str) -> None:
        raise RemoteError("connection refused")

    world.registry.before = refuse
    commit = await world.push_and_settle({"sensor": "v1"})
    world.registry.before = lambda _operation: None
    await wait_for_sleepers(world)
    await world.clock.advance(1)
    await wait_for_channel(world, commit)

    assert world.runner.reports(10)[0].outcome is Outcome.PUBLISHED


async def test_an_unknown_commit_raises_nothing_when_published_directly(world: World) -> None:
    world.source.commits.clear()
    with pytest.raises(NotFoundError):
        await world.source.snapshot("9" * 40)

    report = await world.runner.publish("9" * 40)
    assert report.outcome is Outcome.FAILED


async def wait_for_sleepers(world: World) -> None:
    await until(lambda: world.clock.sleepers > 0)


async def wait_for_channel(world: World, commit: str) -> None:
    await until(lambda: world.channel() == commit)
    await world.runner.settled()


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop turn until a condition holds; the runner works in threads and says nothing."""
    async with asyncio.timeout(120):
        while not condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0)


async def publish_by_hand(world: World, commit: str, service: str, *, revision: str) -> Digest:
    """Tag an image that names a commit in its annotations, as a build by hand does."""
    tree_id = (await world.source.snapshot(commit)).trees[service]
    config = format_image_config(ImageConfig(Platform("linux", "amd64")))
    descriptor = Descriptor(media.OCI_CONFIG, Digest.of(config), len(config))
    reference = Reference.parse(f"{REGISTRY}/{service}")
    world.registry.blobs[reference.name, descriptor.digest] = config
    annotations = {REVISION: revision, TREE: tree_id or ""}
    raw = format_manifest(Manifest(descriptor, (), annotations))
    return await world.registry.push_manifest(reference.with_tag(sha_tag(commit)), raw, media.OCI_MANIFEST)


async def test_an_image_that_was_published_for_the_commit_by_hand_is_the_commits_image(world: World) -> None:
    commit = world.source.commit({"sensor": "one", "chaos": "one"})
    digest = await publish_by_hand(world, commit, "sensor", revision=commit)
    await world.push(commit)
    await world.runner.settled()

    published = await world.set_of(commit)
    assert published is not None
    assert published.artifacts["sensor"].descriptor.digest == digest
    assert world.builder.built == [("chaos", commit)]


async def test_a_foreign_image_under_the_commits_tag_is_not_taken_for_it(world: World) -> None:
    commit = world.source.commit({"sensor": "one"})
    await publish_by_hand(world, commit, "sensor", revision="f" * 40)
    await world.push(commit)
    await world.runner.settled()

    (report,) = world.reports
    assert report.outcome is Outcome.FAILED
    assert "TagCollision" in report.error


async def test_with_a_key_an_image_that_is_carried_is_signed(world: World) -> None:
    first = world.source.commit({"chaos": "one", "sensor": "one"})
    await world.runner.publish(first)
    tree = (await world.source.snapshot(first)).trees["chaos"]
    world.builder.key = True
    world.builder.remembered["chaos", str(tree)] = b"one"
    report = await world.runner.publish(world.source.commit({"chaos": "one", "sensor": "two"}))

    assert [service.outcome for service in report.services] == [ServiceOutcome.CARRIED, ServiceOutcome.BUILT]
    assert ("home/chaos", Digest.parse(report.services[0].digest)) in world.builder.signed


async def test_with_a_key_an_ancestors_image_that_cannot_be_made_again_is_built_anew(world: World) -> None:
    await world.runner.publish(world.source.commit({"chaos": "one", "sensor": "one"}))
    world.builder.key = True
    report = await world.runner.publish(world.source.commit({"chaos": "one", "sensor": "two"}))

    chaos = report.services[0]
    assert (chaos.outcome, chaos.reason, chaos.warnings) == (ServiceOutcome.BUILT, "its image is not signed", ())


async def test_with_a_key_an_image_that_somebody_else_published_for_the_commit_stays_with_a_warning(
    world: World,
) -> None:
    commit = world.source.commit({"chaos": "one", "sensor": "one"})
    digest = await publish_by_hand(world, commit, "sensor", revision=commit)
    world.builder.key = True
    report = await world.runner.publish(commit)

    sensor = report.services[1]
    assert (report.outcome, sensor.outcome, sensor.digest) == (Outcome.PUBLISHED, ServiceOutcome.CARRIED, str(digest))
    assert len(sensor.warnings) == 1
    assert "is not signed" in sensor.warnings[0]
