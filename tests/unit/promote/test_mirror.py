"""Mirroring between two real registries: sets and releases out, and back after a loss."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from fakes.registry import RegistryServer, push_image, serve_registry
from towpath.ci.sets import Artifact, ArtifactSet, format_set
from towpath.errors import NotFoundError
from towpath.oci import media
from towpath.oci.digest import Digest
from towpath.ociclient.client import RegistryClient
from towpath.ociclient.errors import CorruptContentError, PullError
from towpath.promote.mirror import Mirror, Mirrored, Place, Progress, ReleaseTakenError

COMMIT = "1234567" + "0" * 33
OLDER = "7654321" + "0" * 33


@dataclass
class World:
    """A platform's registry with one published set, and an outside one."""

    home: RegistryServer
    outside: RegistryServer
    ours: Place
    theirs: Place
    published: ArtifactSet

    @property
    def digests(self) -> dict[str, Digest]:
        return {name: artifact.descriptor.digest for name, artifact in self.published.artifacts.items()}


@asynccontextmanager
async def world(root: Path) -> AsyncIterator[World]:
    async with serve_registry(root / "home") as home, serve_registry(root / "outside") as outside:
        ours, theirs = Place(home.client(), f"{home.host}/lab"), Place(outside.client(), f"{outside.host}/me/lab")
        try:
            yield World(home, outside, ours, theirs, await publish(ours))
        finally:
            await ours.client.close()
            await theirs.client.close()


async def publish(place: Place) -> ArtifactSet:
    artifacts = {}
    for name, revision in (("sensor", COMMIT), ("chaos", OLDER)):
        image = await push_image(place.client, place.repository(name), layers=(b"base", name.encode()))
        artifacts[name] = Artifact(name, replace(image, platform=None), revision, "tree", "settings")
    published = ArtifactSet(COMMIT, "2026-01-01T00:00:00Z", artifacts)
    for tag in (published.tag, "canary"):
        target = place.repository("sets").with_tag(tag)
        await place.client.push_manifest(target, format_set(published), media.OCI_INDEX)
    return published


async def tags(client: RegistryClient, place: Place, name: str) -> list[str]:
    return sorted(await client.tags(place.repository(name)))


@pytest.mark.parametrize("tag", ["sha-1234567", "canary"])
async def test_a_set_arrives_with_its_images_under_the_tags_of_the_commits_that_built_them(
    tmp_path: Path, tag: str
) -> None:
    async with world(tmp_path) as lab:
        seen: list[str] = []
        progress = Progress(begin=seen.append, end=lambda one: seen.append(f"{one.service} done"))
        mirrored = await Mirror(lab.ours, lab.theirs, progress).copy_set(tag)
        assert [one.copied.digest for one in mirrored] == [lab.digests["chaos"], lab.digests["sensor"]]
        assert mirrored[1].copied.mounted == 1, "the layer that both share"
        assert seen == ["chaos", "chaos done", "sensor", "sensor done"]
        assert await tags(lab.theirs.client, lab.theirs, "sensor") == ["sha-1234567"]
        assert await tags(lab.theirs.client, lab.theirs, "chaos") == ["sha-7654321"]
        assert await tags(lab.theirs.client, lab.theirs, "sets") == ["sha-1234567"]


async def test_a_set_comes_back_as_it_was(tmp_path: Path) -> None:
    async with world(tmp_path) as lab:
        await Mirror(lab.ours, lab.theirs).copy_set("sha-1234567")
        async with serve_registry(tmp_path / "new") as server:
            new = Place(server.client(), f"{server.host}/lab")
            await Mirror(lab.theirs, new).copy_set("sha-1234567")
            raw = await new.client.manifest(new.repository("sets").with_tag("sha-1234567"))
            assert raw.content == format_set(lab.published)
            for name, digest in lab.digests.items():
                assert (await new.client.resolve(new.repository(name).with_digest(digest))).digest == digest
            await new.client.close()


async def test_a_release_is_listed_at_the_target_and_restored_from_there(tmp_path: Path) -> None:
    async with world(tmp_path) as lab:
        release = replace(lab.published, artifacts={"sensor": lab.published.artifacts["sensor"]})
        await Mirror(lab.ours, lab.theirs).copy_release("prod", release)
        assert await tags(lab.theirs.client, lab.theirs, "releases") == ["prod", "prod-1234567"]
        async with serve_registry(tmp_path / "new") as server:
            new = Place(server.client(), f"{server.host}/lab")
            restored: list[Mirrored] = await Mirror(lab.theirs, new).restore_release("prod")
            assert [(one.service, one.target.tag) for one in restored] == [("sensor", "sha-1234567")]
            await new.client.close()


async def test_a_release_that_is_there_for_good_is_never_another_one(tmp_path: Path) -> None:
    async with world(tmp_path) as lab:
        mirror = Mirror(lab.ours, lab.theirs)
        await mirror.copy_release("prod", lab.published)
        await mirror.copy_release("prod", lab.published)
        releases = lab.theirs.repository("releases")
        first = (await lab.theirs.client.resolve(releases.with_tag("prod"))).digest
        other = replace(lab.published, artifacts={"sensor": lab.published.artifacts["sensor"]})
        with pytest.raises(ReleaseTakenError, match="ReleaseTaken") as caught:
            await mirror.copy_release("prod", other)
        assert str(first) in caught.value.message
        assert str(Digest.of(format_set(other))) in caught.value.message
        assert (await lab.theirs.client.resolve(releases.with_tag("prod-1234567"))).digest == first
        assert (await lab.theirs.client.resolve(releases.with_tag("prod"))).digest == first
        later = replace(other, commit=OLDER)
        await mirror.copy_release("prod", later)
        moved = (await lab.theirs.client.resolve(releases.with_tag("prod"))).digest
        assert moved == Digest.of(format_set(later))
        assert await tags(lab.theirs.client, lab.theirs, "releases") == ["prod", "prod-1234567", "prod-7654321"]


async def test_repeating_a_mirror_sends_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as lab:
        await Mirror(lab.ours, lab.theirs).copy_set("sha-1234567")
        counted: list[int] = []
        await Mirror(lab.ours, lab.theirs, Progress(count_bytes=counted.append)).copy_set("sha-1234567")
        assert sum(counted) == 0


async def test_a_mirror_that_was_cut_off_goes_on_and_the_set_comes_last(tmp_path: Path) -> None:
    async with world(tmp_path) as lab:
        for path in (tmp_path / "home" / "blobs").rglob("*"):
            if path.is_file() and path.read_bytes() == b"sensor":
                path.unlink()
        with pytest.raises(PullError):
            await Mirror(lab.ours, lab.theirs).copy_set("sha-1234567")
        assert await tags(lab.theirs.client, lab.theirs, "chaos") == ["sha-7654321"]
        with pytest.raises(PullError):
            await lab.theirs.client.resolve(lab.theirs.repository("sets").with_tag("sha-1234567"))
        await push_image(lab.ours.client, lab.ours.repository("sensor"), layers=(b"base", b"sensor"))
        counted: list[int] = []
        mirrored = await Mirror(lab.ours, lab.theirs, Progress(count_bytes=counted.append)).copy_set("sha-1234567")
        assert mirrored[0].copied.sent == 0
        assert await tags(lab.theirs.client, lab.theirs, "sets") == ["sha-1234567"]


async def test_what_is_not_there_is_said_with_where_to_look(tmp_path: Path) -> None:
    async with world(tmp_path) as lab:
        with pytest.raises(NotFoundError, match="sets:sha-9999999") as caught:
            await Mirror(lab.ours, lab.theirs).copy_set("sha-9999999")
        assert "towpath history" in caught.value.diagnostics()
        with pytest.raises(NotFoundError, match="releases:prod"):
            await Mirror(lab.theirs, lab.ours).restore_release("prod")


async def test_an_index_that_is_no_set_is_refused(tmp_path: Path) -> None:
    async with world(tmp_path) as lab:
        target = lab.ours.repository("sets").with_tag("odd")
        raw = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'
        await lab.ours.client.push_manifest(target, raw, media.OCI_INDEX)
        with pytest.raises(CorruptContentError, match="InvalidSet"):
            await Mirror(lab.ours, lab.theirs).copy_set("odd")
