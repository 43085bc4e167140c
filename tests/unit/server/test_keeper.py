"""The keeper of a platform: what it does by itself, what it tells, and when it does nothing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.clock import VirtualClock
from fakes.registry_api import Api, open_api
from towpath.blueprint.model import Blueprint, Keeping
from towpath.errors import NotFoundError
from towpath.oci import media
from towpath.oci.digest import Digest
from towpath.oci.manifest import format_manifest
from towpath.registry.keeper.evidence import EvidenceError, Roots
from towpath.registry.keeper.quota import Quota
from towpath.server.keeper import FIRST_LOOK_SECONDS, Keeper, policy_of, quota_of

DAY = 86_400.0


class World:
    """A blueprint and evidence, under a test's hand."""

    def __init__(self) -> None:
        self.keeping = Keeping(scrub_seconds=None)
        self.has_head = True
        self.is_readable = True
        self.unseen = ""

    async def blueprint(self) -> Blueprint | None:
        if not self.is_readable:
            raise NotFoundError("blueprint cannot be read (NotFound)")
        return Blueprint("home", "127.0.0.1:7070/home", keeping=self.keeping) if self.has_head else None

    async def gather(self) -> Roots:
        if not self.is_readable:
            raise EvidenceError("collection was refused (NoEvidence): Git is away", hint="mend it")
        return Roots(managed=frozenset({"home/app"}), unseen=self.unseen)

    async def find_mark(self) -> str:
        return ""


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with open_api(tmp_path / "registry", VirtualClock()) as opened:
        yield opened


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def keeper(api: Api, world: World) -> AsyncIterator[Keeper]:
    made = Keeper(api.registry, world, blueprint=world.blueprint, clock=api.clock)
    running = asyncio.create_task(made.run())
    yield made
    running.cancel()
    await made.close()


async def push(api: Api, content: bytes) -> str:
    """An image without a tag; its digest."""
    raw = format_manifest(await api.prepare_manifest(content, repository="home/app"))
    digest = str(Digest.of(raw))
    await api.put(raw, digest, repository="home/app", content_type=media.OCI_MANIFEST)
    return digest


async def is_there(api: Api, digest: str) -> bool:
    # By the catalog, because asking over HTTP would be a lease.
    facts = await api.registry.collector.survey()
    return any(fact.digest == digest for fact in facts.manifests)


async def is_gone(api: Api, digest: str) -> bool:
    return not await is_there(api, digest)


async def has_scrubbed(keeper: Keeper) -> bool:
    progress = keeper.scrub_progress()
    return progress is not None and progress.finished_at is not None


async def until(api: Api, is_so: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what the registry's workers do, and let pass the second that a scrub may sleep between two pieces."""
    async with asyncio.timeout(60):
        while not await is_so():
            await api.clock.advance(1)
            await asyncio.sleep(0.002)


async def settle(api: Api, seconds: float) -> None:
    """Let time pass, and what then begins come to its end on the registry's workers."""
    step = 1800.0
    for _ in range(int(seconds // step)):
        await api.clock.advance(step)
        await api.registry.collector.survey()
        await asyncio.sleep(0.002)


async def test_a_dry_run_removes_nothing_and_says_what_would_go(api: Api, keeper: Keeper) -> None:
    digest = await push(api, b"old")
    await api.clock.advance(DAY)
    found = await keeper.collect(apply=False)

    assert [fact.digest for fact in found.plan.removed] == [digest]
    assert found.collected is None
    assert await is_there(api, digest)


async def test_a_collection_that_is_meant_removes(api: Api, keeper: Keeper) -> None:
    digest = await push(api, b"old")
    await api.clock.advance(DAY)
    found = await keeper.collect(apply=True)

    assert found.collected is not None
    assert found.collected.manifests == 1
    assert not await is_there(api, digest)


@pytest.mark.parametrize("daily", [False, True])
async def test_it_collects_by_itself_once_a_day_only_where_the_owner_has_switched_it_on(
    api: Api, keeper: Keeper, world: World, daily: bool
) -> None:
    del keeper
    world.keeping = replace(world.keeping, collects_daily=daily)
    digest = await push(api, b"old")
    await settle(api, 23 * 3600)
    assert await is_there(api, digest), "a day has not passed"
    await settle(api, 4 * 3600)
    if daily:
        await until(api, lambda: is_gone(api, digest))
    else:
        assert await is_there(api, digest)


async def test_without_evidence_it_removes_nothing_and_goes_on_looking(api: Api, keeper: Keeper, world: World) -> None:
    del keeper
    world.keeping = replace(world.keeping, collects_daily=True)
    digest = await push(api, b"old")
    world.is_readable = False
    await settle(api, 2 * DAY)
    assert await is_there(api, digest)
    world.is_readable = True
    await settle(api, 2 * 3600)

    await until(api, lambda: is_gone(api, digest))


async def test_it_scrubs_by_itself_and_again_when_the_interval_has_passed(
    api: Api, keeper: Keeper, world: World
) -> None:
    await push(api, b"content")
    world.keeping = replace(world.keeping, scrub_seconds=7 * DAY)
    assert keeper.scrub_progress() is None
    await settle(api, FIRST_LOOK_SECONDS + 3600)
    await until(api, lambda: has_scrubbed(keeper))
    first = keeper.scrub_progress()
    assert first is not None
    assert (first.checked, first.damages) == (2, ())
    await settle(api, 6 * DAY)
    assert keeper.scrub_progress() == first
    await settle(api, 2 * DAY)
    await until(api, lambda: has_scrubbed(keeper))

    assert keeper.scrub_progress() != first


async def test_who_asks_for_a_scrub_does_not_wait_for_the_slow_one(api: Api, keeper: Keeper, world: World) -> None:
    await push(api, b"x" * (3 * 1024 * 1024))
    world.keeping = replace(world.keeping, scrub_seconds=7 * DAY)
    await api.clock.advance(FIRST_LOOK_SECONDS)
    async with asyncio.timeout(60):
        while (slow := keeper.scrub_progress()) is None:  # noqa: ASYNC110 - no event of ours tells of it
            await asyncio.sleep(0.002)
    assert slow.finished_at is None
    keeper.start_scrub()
    async with asyncio.timeout(60):
        # No time passes: the slow one would sleep for ever.
        while not await has_scrubbed(keeper):  # noqa: ASYNC110 - the same
            await asyncio.sleep(0.002)

    progress = keeper.scrub_progress()
    assert progress is not None
    assert (progress.checked, progress.damages) == (2, ())


async def test_doctor_says_how_much_could_be_freed(api: Api, keeper: Keeper, world: World) -> None:
    await push(api, b"x" * (65 * 1024 * 1024))
    await api.clock.advance(DAY)
    (check,) = await keeper.examine()
    world.keeping = replace(world.keeping, collects_daily=True)
    (switched_on,) = await keeper.examine()

    assert (check.state, check.evidence) == ("warning", "65.0 MiB of 1 manifests could be freed")
    assert check.next == "towpath registry collect, or keeper: {collect: daily}"
    assert (switched_on.state, "collects daily" in switched_on.evidence) == ("ok", True)


async def test_doctor_tells_that_evidence_is_lacking_and_of_damage(api: Api, keeper: Keeper, world: World) -> None:
    digest = Digest.of(b"content")
    await push(api, b"content")
    (api.root / "blobs" / "sha256" / digest.hex[:2] / digest.hex).write_bytes(b"CONTENT")
    keeper.start_scrub()
    await until(api, lambda: has_scrubbed(keeper))
    world.is_readable = False
    damage, evidence = await keeper.examine()

    assert (damage.check, damage.state, damage.next) == ("registry content", "problem", "towpath registry scrub")
    assert str(digest) in damage.evidence
    assert (evidence.check, evidence.state) == ("registry keeper", "warning")


async def test_doctor_tells_that_nothing_is_collected_daily_where_not_all_may_be_seen(
    api: Api, keeper: Keeper, world: World
) -> None:
    digest = await push(api, b"old")
    world.keeping = replace(world.keeping, collects_daily=True)
    world.unseen = "Pod outside of dev"
    await settle(api, 2 * DAY)
    (check,) = await keeper.examine()

    assert (check.state, "may not see Pod outside of dev" in check.evidence) == ("warning", True)
    assert await is_there(api, digest)
    found = await keeper.collect(apply=True, accepts_unseen=True)
    assert found.collected is not None
    assert found.collected.manifests == 1


async def test_before_the_first_push_there_is_nothing_to_tell(keeper: Keeper, world: World) -> None:
    world.has_head = False
    (check,) = await keeper.examine()

    assert (check.state, check.evidence) == ("ok", "nothing was pushed yet")


async def test_what_is_damaged_is_told_with_why_it_is_needed(api: Api, keeper: Keeper) -> None:
    digest = await push(api, b"new")

    assert (await keeper.needed())["home/app", digest] == ("grace: pushed 0s ago, within 2h",)


def test_settings_become_a_policy_and_a_quota() -> None:
    keeping = Keeping(grace_seconds=600, sets=3, outside_tags=7, quota={"total": 10, "guest/*": 5})

    assert policy_of(keeping).grace_seconds == 600
    assert (policy_of(keeping).newest_sets, policy_of(keeping).outside_tags) == (3, 7)
    assert quota_of(keeping) == Quota(10, {"guest/*": 5})
