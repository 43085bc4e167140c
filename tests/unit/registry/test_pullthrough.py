"""Pull-through between two real registries, and against an upstream that misbehaves on demand."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fakes.clock import VirtualClock
from fakes.registry import RegistryServer, push_bytes, push_image, serve_registry
from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.manifest import Index, format_manifest
from towpath.oci.platform import Platform
from towpath.oci.reference import Reference
from towpath.ociclient.client import RegistryClient
from towpath.ociclient.errors import PullCause, PullError, PushError
from towpath.registry.pullthrough import (
    ABSENT_SECONDS,
    FRESH_SECONDS,
    REFERRERS_LIMIT,
    REMEMBERED_ANSWERS,
    FetchedManifest,
    Upstream,
    UpstreamError,
)
from towpath.registry.upstream import RegistryUpstream

AMD64 = Platform("linux", "amd64")


@dataclass
class Watched:
    """An upstream that counts what it is asked, and fails or lies when told to."""

    inner: Upstream
    asked: list[str] = field(default_factory=list)
    down: bool = False
    damage: bool = False
    repeated: int = 0  # how many referrers more it tells of than there are

    @property
    def name(self) -> str:
        return self.inner.name

    async def find_digest(self, repository: str, tag: str) -> Digest | None:
        self._note(f"tag {repository}:{tag}")
        return await self.inner.find_digest(repository, tag)

    async def find_manifest(self, repository: str, digest: Digest) -> FetchedManifest | None:
        self._note(f"manifest {repository}")
        found = await self.inner.find_manifest(repository, digest)
        if found is None or not self.damage:
            return found
        return FetchedManifest(found.content + b" ", found.media_type)

    async def find_blob(self, repository: str, digest: Digest) -> AsyncIterator[bytes] | None:
        self._note(f"blob {repository}")
        pieces = await self.inner.find_blob(repository, digest)
        return _damaged(pieces) if pieces is not None and self.damage else pieces

    async def find_referrers(self, repository: str, digest: Digest) -> Sequence[Digest]:
        self._note(f"referrers {repository}")
        return [*await self.inner.find_referrers(repository, digest), *[digest] * self.repeated]

    async def find_tags(self, repository: str, *, after: str, limit: int) -> tuple[list[str], bool] | None:
        self._note(f"tags {repository}")
        return await self.inner.find_tags(repository, after=after, limit=limit)

    def _note(self, line: str) -> None:
        self.asked.append(line)
        if self.down:
            raise UpstreamError("the upstream is down")


async def _damaged(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for piece in pieces:
        yield bytes([piece[0] ^ 1]) + piece[1:]


@dataclass
class World:
    origin: RegistryServer
    cache: RegistryServer
    upstream: Watched
    clock: VirtualClock
    pusher: RegistryClient
    puller: RegistryClient

    def there(self, name: str) -> Reference:
        return self.origin.reference(name)

    def here(self, name: str) -> Reference:
        return self.cache.reference(f"hub/{name}")


@asynccontextmanager
async def world(root: Path) -> AsyncIterator[World]:
    clock = VirtualClock()
    async with serve_registry(root / "origin") as origin:
        pusher = origin.client()
        upstream = Watched(RegistryUpstream(pusher, origin.host))
        async with serve_registry(root / "cache", clock=clock, upstreams={"hub": upstream}) as cache:
            puller = cache.client()
            try:
                yield World(origin, cache, upstream, clock, pusher, puller)
            finally:
                await puller.close()
                await pusher.close()


async def pull(client: RegistryClient, reference: Reference) -> list[bytes]:
    image = await client.image(reference, AMD64)
    return [await client.read_blob(reference, blob) for blob in image.manifest.blobs]


async def test_the_first_pull_fetches_and_the_second_asks_nobody(tmp_path: Path) -> None:
    async with world(tmp_path) as lab:
        pushed = await push_image(lab.pusher, lab.there("lib/app:v1"), layers=(os.urandom(2_000_000), b"small"))
        assert await pull(lab.puller, lab.here("lib/app:v1")) == await pull(lab.pusher, lab.there("lib/app:v1"))
        assert (await lab.puller.resolve(lab.here("lib/app:v1"))).digest == pushed.digest
        lab.upstream.asked.clear()
        await pull(lab.puller, lab.here("lib/app:v1"))
        assert lab.upstream.asked == []


async def test_of_an_index_only_the_platform_that_is_pulled_is_fetched(tmp_path: Path) -> None:
    async with world(tmp_path) as lab:
        entries = [
            await push_image(lab.pusher, lab.there("lib/app"), labels={"on": name}, platform=Platform("linux", name))
            for name in ("amd64", "arm64")
        ]
        raw = format_manifest(Index(tuple(entries)))
        await lab.pusher.push_manifest(lab.there("lib/app:v1"), raw, media.OCI_INDEX)
        await pull(lab.puller, lab.here("lib/app:v1"))
        assert lab.upstream.asked.count("manifest lib/app") == 2


async def test_a_tag_that_moved_is_seen_when_the_last_answer_has_aged(tmp_path: Path) -> None:
    async with world(tmp_path) as lab:
        first = await push_image(lab.pusher, lab.there("lib/app:v1"), labels={"n": "1"})
        assert (await lab.puller.resolve(lab.here("lib/app:v1"))).digest == first.digest
        second = await push_image(lab.pusher, lab.there("lib/app:v1"), labels={"n": "2"})
        assert (await lab.puller.resolve(lab.here("lib/app:v1"))).digest == first.digest
        await lab.clock.advance(FRESH_SECONDS + 1)
        assert (await lab.puller.resolve(lab.here("lib/app:v1"))).digest == second.digest


async def test_an_artifact_tag_is_asked_for_once(tmp_path: Path) -> None:
    async with world(tmp_path) as lab:
        await push_image(lab.pusher, lab.there("lib/app:sha-0123456"))
        await lab.puller.resolve(lab.here("lib/app:sha-0123456"))
        await lab.clock.advance(FRESH_SECONDS * 10)
        await lab.puller.resolve(lab.here("lib/app:sha-0123456"))
        assert lab.upstream.asked.count("tag lib/app:sha-0123456") == 1


async def test_without_its_upstream_what_is_kept_is_served(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with world(tmp_path) as lab:
        await push_image(lab.pusher, lab.there("lib/app:v1"))
        expected = await pull(lab.puller, lab.here("lib/app:v1"))
        lab.upstream.down = True
        await lab.clock.advance(FRESH_SECONDS + 1)
        assert await pull(lab.puller, lab.here("lib/app:v1")) == expected
        assert "is served as it was last seen" in caplog.text


async def test_an_upstream_that_is_down_is_named_when_nothing_is_kept(tmp_path: Path) -> None:
    async with world(tmp_path) as lab:
        lab.upstream.down = True
        with pytest.raises(PullError) as caught:
            await lab.puller.manifest(lab.here("lib/app:v1"))
        assert caught.value.cause is PullCause.SERVER_ERROR
        assert "the upstream is down" in caught.value.message


@pytest.mark.parametrize("name", ["lib/other:v1", "lib/app:v2"])
async def test_what_the_upstream_has_not_is_not_found(tmp_path: Path, name: str) -> None:
    async with world(tmp_path) as lab:
        await push_image(lab.pusher, lab.there("lib/app:v1"))
        with pytest.raises(PullError) as caught:
            await lab.puller.manifest(lab.here(name))
        assert caught.value.cause is PullCause.NOT_FOUND
        assert await lab.puller.find_blob(lab.here("lib/app"), Digest.of(b"never")) is None


async def test_many_pulls_at_once_cost_one_fetch(tmp_path: Path) -> None:
    async with world(tmp_path) as lab:
        await push_image(lab.pusher, lab.there("lib/app:v1"), layers=(os.urandom(1_000_000),))
        results = await asyncio.gather(*(pull(lab.puller, lab.here("lib/app:v1")) for _ in range(20)))
        assert all(one == results[0] for one in results)
        assert sorted(lab.upstream.asked) == ["blob lib/app", "blob lib/app", "manifest lib/app", "tag lib/app:v1"]


async def test_damaged_content_is_never_kept(tmp_path: Path) -> None:
    async with world(tmp_path) as lab:
        image = await push_image(lab.pusher, lab.there("lib/app:v1"), layers=(b"layer",))
        lab.upstream.damage = True
        with pytest.raises(PullError):
            await lab.puller.manifest(lab.here("lib/app:v1"))
        with pytest.raises(PullError):
            await lab.puller.find_blob(lab.here("lib/app"), Digest.of(b"layer"))
        lab.upstream.damage = False
        assert (await lab.puller.image(lab.here("lib/app:v1"), AMD64)).descriptor.digest == image.digest
        assert await lab.puller.find_blob(lab.here("lib/app"), Digest.of(b"layer")) == 5


async def test_nobody_pushes_into_a_copy(tmp_path: Path) -> None:
    async with world(tmp_path) as lab:
        with pytest.raises(PushError, match="is a copy of") as caught:
            await push_bytes(lab.puller, lab.here("lib/app"), b"mine", media.OCI_LAYER)
        assert caught.value.cause is PullCause.FORBIDDEN


async def test_who_may_not_read_makes_nobody_fetch(tmp_path: Path) -> None:
    async with world(tmp_path) as lab:
        await push_image(lab.pusher, lab.there("lib/app:v1"))
        stranger = lab.cache.client("stranger")
        with pytest.raises(PullError) as caught:
            await stranger.manifest(lab.here("lib/app:v1"))
        assert caught.value.cause in {PullCause.ACCESS_DENIED, PullCause.FORBIDDEN}
        assert lab.upstream.asked == []
        await stranger.close()


async def test_other_repositories_are_the_registrys_own(tmp_path: Path) -> None:
    async with world(tmp_path) as lab:
        await push_image(lab.puller, lab.cache.reference("lab/app:v1"))
        await pull(lab.puller, lab.cache.reference("lab/app:v1"))
        assert lab.upstream.asked == []


async def test_what_was_fetched_survives_a_restart(tmp_path: Path) -> None:
    async with world(tmp_path) as lab:
        await push_image(lab.pusher, lab.there("lib/app:v1"))
        expected = await pull(lab.puller, lab.here("lib/app:v1"))
    async with world(tmp_path) as lab:
        lab.upstream.down = True
        assert await pull(lab.puller, lab.here("lib/app:v1")) == expected


@pytest.mark.parametrize("by", ["tag", "digest"])
async def test_a_manifest_that_was_damaged_here_is_fetched_again(tmp_path: Path, by: str) -> None:
    async with world(tmp_path) as lab:
        pushed = await push_image(lab.pusher, lab.there("lib/app:v1"))
        await lab.puller.resolve(lab.here("lib/app:v1"))
    damage_manifests(tmp_path / "cache")
    async with world(tmp_path) as lab:
        wanted = lab.here("lib/app:v1") if by == "tag" else lab.here("lib/app").with_digest(pushed.digest)
        assert Digest.of((await lab.puller.manifest(wanted)).content) == pushed.digest


async def test_what_is_damaged_is_not_served_while_the_upstream_is_down(tmp_path: Path) -> None:
    async with world(tmp_path) as lab:
        await push_image(lab.pusher, lab.there("lib/app:v1"))
        await lab.puller.resolve(lab.here("lib/app:v1"))
    damage_manifests(tmp_path / "cache")
    async with world(tmp_path) as lab:
        lab.upstream.down = True
        with pytest.raises(PullError, match="the upstream is down"):
            await lab.puller.manifest(lab.here("lib/app:v1"))


async def test_the_tags_of_copies_are_not_those_that_were_pushed_here(tmp_path: Path) -> None:
    async with world(tmp_path) as lab:
        await push_image(lab.pusher, lab.there("lib/app:v1"))
        await pull(lab.puller, lab.here("lib/app:v1"))
        pushed = await push_image(lab.puller, lab.cache.reference("lab/app:v1"))
        assert await lab.cache.registry.read_tags() == {("lab/app", "v1"): str(pushed.digest)}


def damage_manifests(root: Path) -> None:
    """Change the bytes of every manifest, as a disk does."""
    with sqlite3.connect(root / "catalog.db") as database:
        database.execute("UPDATE manifests SET content = X'7B7D'")
    database.close()


async def test_what_the_upstream_has_not_is_asked_for_again_after_a_while(tmp_path: Path) -> None:
    async with world(tmp_path) as lab:
        await push_image(lab.pusher, lab.there("lib/app:v1"))
        wanted = (lab.here("lib/app:v2"), lab.here("lib/app").with_digest(Digest.of(b"later")))
        for _ in range(3):
            for one in wanted:
                with pytest.raises(PullError):
                    await lab.puller.manifest(one)
            assert await lab.puller.find_blob(lab.here("lib/app"), Digest.of(b"later")) is None
        assert sorted(lab.upstream.asked) == ["blob lib/app", "manifest lib/app", "tag lib/app:v2"]
        pushed = await push_image(lab.pusher, lab.there("lib/app:v2"), layers=(b"later",))
        await lab.clock.advance(ABSENT_SECONDS)
        assert (await lab.puller.resolve(lab.here("lib/app:v2"))).digest == pushed.digest
        assert await lab.puller.find_blob(lab.here("lib/app"), Digest.of(b"later")) == 5


async def test_a_blob_is_found_though_there_is_no_manifest_of_its_digest(tmp_path: Path) -> None:
    async with world(tmp_path) as lab:
        await push_image(lab.pusher, lab.there("lib/app:v1"), layers=(b"layer",))
        with pytest.raises(PullError):
            await lab.puller.manifest(lab.here("lib/app").with_digest(Digest.of(b"layer")))
        assert await lab.puller.find_blob(lab.here("lib/app"), Digest.of(b"layer")) == 5


async def test_names_that_are_made_up_take_a_bounded_memory_and_real_ones_are_served_on(tmp_path: Path) -> None:
    async with world(tmp_path) as lab:
        await push_image(lab.pusher, lab.there("lib/app:v1"))
        await lab.puller.resolve(lab.here("lib/app:v1"))
        through = lab.cache.registry.pull_through
        for number in range(REMEMBERED_ANSWERS + 10):
            await through.prepare_manifest("hub/lib/app", f"no-{number}")
        assert len(through._answers) == REMEMBERED_ANSWERS
        await lab.puller.resolve(lab.here("lib/app:v1"))
        assert lab.upstream.asked.count("tag lib/app:v1") == 2


async def attest(client: RegistryClient, image: Reference, subject: Descriptor, kind: str) -> Digest:
    """Push something that is about an image."""
    raw = format_manifest(Index((), {"kind": kind}, kind, subject))
    return await client.push_manifest(image.with_digest(Digest.of(raw)), raw, media.OCI_INDEX)


async def test_what_refers_to_an_image_is_listed_fetched_and_filtered(tmp_path: Path) -> None:
    async with world(tmp_path) as lab:
        image = await push_image(lab.pusher, lab.there("lib/app:v1"))
        signature = await attest(lab.pusher, lab.there("lib/app"), image, "application/x.signature")
        bill = await attest(lab.pusher, lab.there("lib/app"), image, "application/x.sbom")
        here = lab.here("lib/app").with_digest(image.digest)
        listed = await lab.puller.referrers(here)
        assert listed == await lab.pusher.referrers(lab.there("lib/app").with_digest(image.digest))
        assert {one.digest for one in listed} == {signature, bill}
        (found,) = await lab.puller.referrers(here, artifact_type="application/x.sbom")
        assert (found.digest, found.annotations) == (bill, {"kind": "application/x.sbom"})
        assert lab.upstream.asked.count("referrers lib/app") == 1


async def test_a_signature_that_came_later_is_seen_when_the_last_answer_has_aged(tmp_path: Path) -> None:
    async with world(tmp_path) as lab:
        image = await push_image(lab.pusher, lab.there("lib/app:v1"))
        here = lab.here("lib/app").with_digest(image.digest)
        assert await lab.puller.referrers(here) == ()
        first = await attest(lab.pusher, lab.there("lib/app"), image, "application/x.one")
        assert await lab.puller.referrers(here) == ()
        await lab.clock.advance(ABSENT_SECONDS)
        assert [one.digest for one in await lab.puller.referrers(here)] == [first]
        second = await attest(lab.pusher, lab.there("lib/app"), image, "application/x.two")
        await lab.clock.advance(FRESH_SECONDS - 1)
        assert [one.digest for one in await lab.puller.referrers(here)] == [first]
        await lab.clock.advance(1)
        assert {one.digest for one in await lab.puller.referrers(here)} == {first, second}


async def test_without_its_upstream_an_image_never_looks_unsigned(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(tmp_path) as lab:
        image = await push_image(lab.pusher, lab.there("lib/app:v1"))
        signature = await attest(lab.pusher, lab.there("lib/app"), image, "application/x.signature")
        here = lab.here("lib/app").with_digest(image.digest)
        lab.upstream.down = True
        with pytest.raises(PullError, match="the upstream is down"):
            await lab.puller.referrers(here)
        lab.upstream.down = False
        await lab.puller.referrers(here)
        lab.upstream.down = True
        await lab.clock.advance(FRESH_SECONDS)
        assert [one.digest for one in await lab.puller.referrers(here)] == [signature]
        assert "is listed as far as it is kept" in caplog.text


async def test_of_very_many_referrers_some_are_fetched_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(tmp_path) as lab:
        image = await push_image(lab.pusher, lab.there("lib/app:v1"))
        await attest(lab.pusher, lab.there("lib/app"), image, "application/x.signature")
        lab.upstream.repeated = REFERRERS_LIMIT
        assert len(await lab.puller.referrers(lab.here("lib/app").with_digest(image.digest))) == 1
        assert f"has {REFERRERS_LIMIT + 1} referrers, of which {REFERRERS_LIMIT} are fetched" in caplog.text


async def test_the_tags_of_a_copy_are_those_of_its_upstream_page_by_page(tmp_path: Path) -> None:
    async with world(tmp_path) as lab:
        for tag in ("v1", "v2", "v3"):
            await push_image(lab.pusher, lab.there(f"lib/app:{tag}"))
        await pull(lab.puller, lab.here("lib/app:v2"))
        assert await lab.puller.tags(lab.here("lib/app")) == ["v1", "v2", "v3"]
        assert await lab.puller.tags_page(lab.here("lib/app"), after="", limit=2) == (["v1", "v2"], True)
        assert await lab.puller.tags_page(lab.here("lib/app"), after="v2", limit=2) == (["v3"], False)
        with pytest.raises(PullError) as caught:
            await lab.puller.tags(lab.here("lib/other"))
        assert caught.value.cause is PullCause.NOT_FOUND


async def test_without_its_upstream_the_tags_that_are_kept_are_listed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(tmp_path) as lab:
        for tag in ("v1", "v2"):
            await push_image(lab.pusher, lab.there(f"lib/app:{tag}"))
        lab.upstream.down = True
        with pytest.raises(PullError, match="the upstream is down"):
            await lab.puller.tags(lab.here("lib/app"))
        lab.upstream.down = False
        await pull(lab.puller, lab.here("lib/app:v2"))
        lab.upstream.down = True
        assert await lab.puller.tags(lab.here("lib/app")) == ["v2"]
        assert "the tags of hub/lib/app are listed as far as they are kept" in caplog.text
