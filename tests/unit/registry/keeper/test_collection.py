"""A collection on a real registry directory, while clients go on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.clock import VirtualClock
from fakes.registry_api import Api, open_api
from towpath.oci import media
from towpath.oci.annotations import SERVICE
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.manifest import Index, Manifest, format_manifest
from towpath.registry.keeper.collection import Collected
from towpath.registry.keeper.evidence import EvidenceError, Reason, Root, Roots, Why
from towpath.registry.keeper.plan import Plan
from towpath.registry.keeper.policy import Policy

DAY = 86_400.0


class World:
    """Evidence that a test decides; `on_mark` is awaited whenever the collector looks whether it has changed."""

    def __init__(self, roots: Roots | None = None) -> None:
        self.roots = roots or Roots()
        self.mark = ""
        self.on_mark: Callable[[], Awaitable[object]] | None = None

    async def gather(self) -> Roots:
        if self.mark == "unreadable":
            raise EvidenceError("evidence cannot be gathered (Unreadable): Git is away")
        return self.roots

    async def find_mark(self) -> str:
        if self.on_mark:
            await self.on_mark()
        return self.mark


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with open_api(tmp_path / "registry", VirtualClock()) as opened:
        yield opened


async def push(api: Api, layer: bytes, *tags: str, repository: str = "lab/app") -> Digest:
    """Push an image; its digest."""
    raw = format_manifest(await api.prepare_manifest(layer, repository=repository))
    digest = Digest.of(raw)
    for reference in tags or (str(digest),):
        response = await api.put(raw, reference, repository=repository, content_type=media.OCI_MANIFEST)
        assert response.status_code == 201, response.text
    return digest


async def collect(api: Api, world: World | None = None, policy: Policy | None = None) -> tuple[Plan, Collected]:
    return await api.registry.collector.collect(world or World(), policy or Policy())


async def status(api: Api, path: str) -> int:
    return (await api.ask("GET", f"/v2/{path}")).status_code


async def test_what_nothing_needs_is_removed_from_catalog_and_disk_and_the_rest_is_whole(api: Api) -> None:
    gone, kept = await push(api, b"gone"), await push(api, b"kept", "v1")
    await api.clock.advance(DAY)
    plan, collected = await collect(api)

    assert (collected.manifests, collected.interrupted) == (1, "")
    assert collected.blobs_bytes == len(b"gone") == plan.freed_bytes - plan.removed[0].size
    assert await status(api, f"lab/app/manifests/{gone}") == 404
    assert await status(api, "lab/app/manifests/v1") == 200
    assert await status(api, f"lab/app/blobs/{Digest.of(b'gone')}") == 404
    assert await status(api, f"lab/app/blobs/{Digest.of(b'kept')}") == 200
    assert await status(api, f"lab/app/manifests/{kept}") == 200
    assert (await api.registry.scrub.run()).damages == ()
    assert len([name for name in api.files() if name.startswith("blobs/")]) == 2


async def test_a_second_collection_finds_nothing(api: Api) -> None:
    await push(api, b"gone")
    await api.clock.advance(DAY)
    await collect(api)
    plan, collected = await collect(api)

    assert (plan.removed, plan.links, collected) == ([], (), Collected())


async def test_without_evidence_nothing_is_removed(api: Api) -> None:
    digest = await push(api, b"app")
    await api.clock.advance(DAY)
    world = World()
    world.mark = "unreadable"
    with pytest.raises(EvidenceError):
        await collect(api, world)

    assert await status(api, f"lab/app/manifests/{digest}") == 200


async def test_where_evidence_may_not_look_nothing_is_removed_unless_somebody_vouches_for_it(api: Api) -> None:
    digest = await push(api, b"app")
    await api.clock.advance(DAY)
    world = World(Roots(unseen="Pod outside of dev"))
    planned = await api.registry.collector.plan(world, Policy())
    with pytest.raises(EvidenceError, match="may not see Pod outside of dev") as refused:
        await collect(api, world)

    assert planned.unseen == "Pod outside of dev"
    assert refused.value.hint.endswith("--accept-unseen")
    assert [fact.digest for fact in (await api.registry.collector.survey()).manifests] == [str(digest)]
    _, collected = await api.registry.collector.collect(world, Policy(), accepts_unseen=True)
    assert collected.manifests == 1


async def test_a_collection_ends_when_what_is_needed_has_changed_meanwhile(api: Api) -> None:
    digest = await push(api, b"app")
    await api.clock.advance(DAY)
    world = World()

    async def promote() -> None:
        world.mark = "another commit"

    world.on_mark = promote
    _, collected = await collect(api, world)

    assert "has changed" in collected.interrupted
    assert await status(api, f"lab/app/manifests/{digest}") == 200


@pytest.mark.parametrize("act", ["tag", "push", "read", "index"])
async def test_what_is_tagged_pushed_read_or_named_between_plan_and_removal_stays_whole(api: Api, act: str) -> None:
    raw = format_manifest(await api.prepare_manifest(b"layer"))
    digest = Digest.of(raw)
    await api.put(raw, str(digest), content_type=media.OCI_MANIFEST)
    await api.clock.advance(DAY)
    world = World()

    async def intervene() -> None:
        if act == "read":
            assert await status(api, f"lab/app/manifests/{digest}") == 200
        elif act == "index":
            entry = Descriptor(media.OCI_MANIFEST, digest, len(raw), {SERVICE: "app"})
            assert (await api.put(Index((entry,)), "all", repository="lab/index")).status_code == 201
        else:
            reference = str(digest) if act == "push" else "v2"
            assert (await api.put(raw, reference, content_type=media.OCI_MANIFEST)).status_code == 201

    world.on_mark = intervene
    plan, collected = await collect(api, world)

    assert [fact.digest for fact in plan.removed] == [str(digest)]
    assert collected.manifests == 0
    assert await status(api, f"lab/app/manifests/{digest}") == 200
    assert await status(api, f"lab/app/blobs/{Digest.of(b'layer')}") == 200


async def test_referrers_stay_when_their_subject_comes_back_between_plan_and_removal(api: Api) -> None:
    manifest = await api.prepare_manifest(b"image")
    raw = format_manifest(manifest)
    about = Descriptor(media.OCI_MANIFEST, Digest.of(raw), len(raw))
    signature = format_manifest(replace(manifest, subject=about))
    path = f"lab/app/manifests/{Digest.of(signature)}"
    await api.put(signature, str(Digest.of(signature)), content_type=media.OCI_MANIFEST)
    await api.clock.advance(DAY)
    world = World()

    async def push_subject() -> None:
        assert (await api.put(raw, "v1", content_type=media.OCI_MANIFEST)).status_code == 201

    world.on_mark = push_subject
    plan, collected = await collect(api, world)

    assert [fact.digest for fact in plan.removed] == [str(Digest.of(signature))]
    assert collected.manifests == 0
    assert await status(api, path) == 200


@pytest.mark.parametrize("act", ["head", "mount", "upload"])
async def test_a_blob_that_a_push_asks_for_mounts_or_sends_after_the_plan_is_there_for_its_manifest(
    api: Api, act: str
) -> None:
    lost = await push(api, b"other")  # removing it makes the collector ask whether the evidence has changed
    layer = await api.push_blob(b"layer")
    await api.clock.advance(DAY)
    world = World()

    async def intervene() -> None:
        if act == "head":
            assert (await api.ask("HEAD", f"/v2/lab/app/blobs/{layer.digest}")).status_code == 200
        elif act == "upload":
            await api.push_blob(b"layer")
        else:
            path = f"/v2/lab/else/blobs/uploads/?mount={layer.digest}&from=lab/app"
            assert (await api.ask("POST", path)).status_code == 201

    world.on_mark = intervene
    plan, _ = await collect(api, world)

    assert str(layer.digest) in plan.blobs
    assert str(lost) in {fact.digest for fact in plan.removed}
    repository = "lab/else" if act == "mount" else "lab/app"
    config = await api.push_blob(b"{}", repository)
    manifest = Manifest(Descriptor(media.OCI_CONFIG, config.digest, config.size), (layer,))
    assert (await api.put(manifest, "v1", repository=repository)).status_code == 201
    assert (await api.ask("GET", f"/v2/{repository}/blobs/{layer.digest}")).content == b"layer"


async def test_deleted_collected_and_pushed_again_the_same_digest_is_there(api: Api) -> None:
    for _ in range(3):
        digest = await push(api, b"layer", "v1")
        assert await status(api, "lab/app/manifests/v1") == 200
        assert (await api.ask("DELETE", f"/v2/lab/app/manifests/{digest}")).status_code == 202
        await api.clock.advance(DAY)
        _, collected = await collect(api)
        assert collected.blobs_bytes > len(b"layer")
        assert await status(api, f"lab/app/manifests/{digest}") == 404
        assert (await api.ask("HEAD", f"/v2/lab/app/blobs/{Digest.of(b'layer')}")).status_code == 404

    digest = await push(api, b"layer", "v1")
    assert (await api.ask("GET", f"/v2/lab/app/blobs/{Digest.of(b'layer')}")).content == b"layer"
    assert await status(api, f"lab/app/manifests/{digest}") == 200


async def test_the_entries_of_an_index_stay_though_they_have_no_tag_and_are_old(api: Api) -> None:
    entries = []
    for layer in (b"amd64", b"arm64"):
        raw = format_manifest(await api.prepare_manifest(layer))
        await api.put(raw, str(Digest.of(raw)), content_type=media.OCI_MANIFEST)
        entries.append(Descriptor(media.OCI_MANIFEST, Digest.of(raw), len(raw)))
    await api.put(Index(tuple(entries)), "v1")
    await api.clock.advance(DAY)
    plan, collected = await collect(api)

    assert (plan.removed, collected) == ([], Collected())


async def test_an_index_goes_together_with_its_entries_when_its_tag_does(api: Api) -> None:
    raw = format_manifest(await api.prepare_manifest(b"amd64"))
    await api.put(raw, str(Digest.of(raw)), content_type=media.OCI_MANIFEST)
    await api.put(Index((Descriptor(media.OCI_MANIFEST, Digest.of(raw), len(raw)),)), "v1")
    await api.ask("DELETE", "/v2/lab/app/manifests/v1")
    await api.clock.advance(DAY)
    _, collected = await collect(api)

    assert collected.manifests == 2
    assert api.files() == []


async def test_a_pull_that_has_begun_ends_though_the_blob_is_collected_meanwhile(api: Api) -> None:
    content = b"x" * 3_000_000
    await push(api, content)
    await api.clock.advance(DAY)
    digest = Digest.of(content)
    pieces = api.registry.blobs.read(
        await api.registry.blobs.open(digest, size=len(content), start=0, stop=len(content))
    )
    first = await anext(pieces)
    await collect(api)
    assert (await api.ask("HEAD", f"/v2/lab/app/blobs/{digest}")).status_code == 404

    assert first + b"".join([piece async for piece in pieces]) == content


async def test_many_pieces_are_removed_and_pushes_come_between_them(api: Api) -> None:
    for number in range(70):
        await push(api, b"%d" % number)
    await api.clock.advance(DAY)
    world = World()
    pushed: list[Digest] = []

    async def push_between() -> None:
        pushed.append(await push(api, b"new %d" % len(pushed), "new"))

    world.on_mark = push_between
    _, collected = await collect(api, world)

    assert collected.manifests == 70
    assert len(pushed) == 3
    assert (await api.registry.scrub.run()).damages == ()
    for digest in pushed:
        assert await status(api, f"lab/app/manifests/{digest}") == 200


async def test_roots_by_tag_keep_and_what_is_managed_goes(api: Api) -> None:
    pinned = await push(api, b"pinned", "sha-1111111", repository="home/app")
    unneeded = await push(api, b"unneeded", "sha-2222222", repository="home/app")
    await api.clock.advance(DAY)
    root = Root("sha-1111111", Reason(Why.PINNED, "prod at abc"), "home/app")
    roots = Roots((root,), managed=frozenset({"home/app"}))
    await collect(api, World(roots), Policy(newest_sets=0))

    assert await status(api, f"home/app/manifests/{pinned}") == 200
    assert await status(api, f"home/app/manifests/{unneeded}") == 404
    assert await status(api, "home/app/manifests/sha-2222222") == 404


async def test_two_collections_at_once_take_turns(api: Api) -> None:
    await push(api, b"gone")
    await api.clock.advance(DAY)
    outcomes = await asyncio.gather(collect(api), collect(api))

    assert sorted(collected.manifests for _, collected in outcomes) == [0, 1]


async def test_what_was_asked_for_just_before_a_restart_is_there_a_moment_after_it(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with open_api(tmp_path / "registry", clock) as api:
        digest = await push(api, b"layer")
        await clock.advance(DAY)
        assert await status(api, f"lab/app/manifests/{digest}") == 200
    async with open_api(tmp_path / "registry", clock) as api:
        await clock.advance(1)
        await collect(api)
        assert await status(api, f"lab/app/manifests/{digest}") == 200
