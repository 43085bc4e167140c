"""A set is published whole or not at all, and any interruption is made good by doing it again."""

import pytest

from fakes.image_builder import FakePendingImage
from fakes.memory_registry import MemoryRegistry
from towpath.blueprint.model import Blueprint
from towpath.ci.batch import repository_of
from towpath.ci.publication import ArtifactsLostError, Publication, TagCollisionError
from towpath.ci.sets import Artifact, ArtifactSet
from towpath.errors import RemoteError
from towpath.oci.image import ImageConfig, format_image_config
from towpath.oci.platform import Platform

BLUEPRINT = Blueprint("home", "127.0.0.1:7070/home")
ONE, TWO = "1" * 40, "2" * 40
SERVICES = ("chaos", "sensor")


class Crash(BaseException):
    """The process died: no handler runs."""


@pytest.fixture
def registry() -> MemoryRegistry:
    return MemoryRegistry()


@pytest.fixture
def publication(registry: MemoryRegistry) -> Publication:
    return Publication(registry)


async def anyone(_current: str | None) -> bool:
    return True


async def make_set(registry: MemoryRegistry, commit: str, services: tuple[str, ...] = SERVICES) -> ArtifactSet:
    artifacts = {}
    for name in services:
        config = format_image_config(ImageConfig(Platform("linux", "amd64"), labels={"revision": commit}))
        image = FakePendingImage(registry, f"{name} at {commit}".encode(), config)
        await image.push(repository_of(BLUEPRINT, name))
        artifacts[name] = Artifact(name, image.descriptor, commit, "t" * 40, "f" * 16)
    return ArtifactSet(commit, "2026-01-31T09:30:00Z", artifacts)


async def is_at(registry: MemoryRegistry, artifact_set: ArtifactSet, tag: str) -> bool:
    digests = [(await registry.resolve(repository_of(BLUEPRINT, name).with_tag(tag))).digest for name in SERVICES]
    return digests == [artifact_set.artifacts[name].descriptor.digest for name in SERVICES]


async def test_a_published_set_is_found_with_every_artifact_tagged(
    registry: MemoryRegistry, publication: Publication
) -> None:
    artifact_set = await make_set(registry, ONE)
    await publication.publish(BLUEPRINT, artifact_set)

    assert await publication.find_set(BLUEPRINT, ONE) == artifact_set
    assert await is_at(registry, artifact_set, "sha-1111111")


async def test_the_set_comes_before_any_tag_and_the_channel_last(
    registry: MemoryRegistry, publication: Publication
) -> None:
    artifact_set = await make_set(registry, ONE)
    registry.log.clear()
    await publication.publish(BLUEPRINT, artifact_set)
    await publication.take_channel(BLUEPRINT, artifact_set, anyone)

    assert registry.log[0] == "manifest home/sets:sha-1111111"
    assert registry.log[-1] == "manifest home/sets:canary"
    assert len(registry.log) == 2 + 2 * len(SERVICES)


async def test_publishing_again_writes_nothing(registry: MemoryRegistry, publication: Publication) -> None:
    artifact_set = await make_set(registry, ONE)
    for _ in range(2):
        registry.log.clear()
        await publication.publish(BLUEPRINT, artifact_set)
        assert await publication.take_channel(BLUEPRINT, artifact_set, anyone)

    assert registry.log == []


async def test_without_one_of_its_images_nothing_is_published(
    registry: MemoryRegistry, publication: Publication
) -> None:
    artifact_set = await make_set(registry, ONE)
    lost = artifact_set.artifacts["sensor"].descriptor.digest
    del registry.manifests["127.0.0.1:7070/home/sensor", lost]
    registry.log.clear()

    with pytest.raises(ArtifactsLostError, match="images of sensor are not in the registry"):
        await publication.publish(BLUEPRINT, artifact_set)
    assert registry.log == []
    assert await publication.find_lost(BLUEPRINT, [("sensor", lost)]) == ["sensor"]


@pytest.mark.parametrize("failure", [RemoteError("registry answered 500"), Crash()])
async def test_an_interruption_at_any_request_is_made_good_by_repeating(failure: BaseException) -> None:
    """Fail at the n-th request for every n; the channel never names a part of a set's images beside a finished mark."""
    interrupted_at = 0
    while True:
        interrupted_at += 1
        registry = MemoryRegistry()
        publication = Publication(registry)
        before, after = await make_set(registry, ONE), await make_set(registry, TWO)
        await publication.publish(BLUEPRINT, before)
        await publication.take_channel(BLUEPRINT, before, anyone)
        interrupt(registry, interrupted_at, failure)
        try:
            await publication.publish(BLUEPRINT, after)
            await publication.take_channel(BLUEPRINT, after, anyone)
        except (RemoteError, Crash):
            registry.before = lambda _operation: None
        else:
            break
        await check_consistent(registry, after)
        again = Publication(registry)
        found = await again.find_set(BLUEPRINT, TWO)
        await again.publish(BLUEPRINT, found or after)
        assert await again.take_channel(BLUEPRINT, after, anyone)
        assert await is_at(registry, after, "sha-2222222")
        assert await is_at(registry, after, "canary")
        assert await is_at(registry, before, "sha-1111111")

    assert interrupted_at > 15, "every request of a publication was interrupted once"


def interrupt(registry: MemoryRegistry, number: int, failure: BaseException) -> None:
    start = registry.requests

    def fail(_operation: str) -> None:
        if registry.requests - start >= number:
            raise failure

    registry.before = fail


async def check_consistent(registry: MemoryRegistry, after: ArtifactSet) -> None:
    """No artifact tag without a set, and no finished channel mark without every channel tag."""
    publication = Publication(registry)
    published = await publication.find_set(BLUEPRINT, TWO) is not None
    tagged = [name for name in SERVICES if (f"127.0.0.1:7070/home/{name}", "sha-2222222") in registry.tags_]
    assert published or not tagged
    channel = await publication.find_channel(BLUEPRINT)
    if channel == after:
        assert await is_at(registry, after, "canary")


async def test_a_second_commit_with_the_same_seven_digits_is_refused(
    registry: MemoryRegistry, publication: Publication
) -> None:
    other = "1111111" + "2" * 33
    first = await make_set(registry, ONE)
    await publication.publish(BLUEPRINT, first)

    with pytest.raises(TagCollisionError, match=f"tag sha-1111111 is the set of {ONE}") as caught:
        await publication.publish(BLUEPRINT, await make_set(registry, other))
    assert "amend" in caught.value.hint
    assert await publication.find_set(BLUEPRINT, ONE) == first


async def test_an_artifact_tag_that_names_something_else_is_never_overwritten(
    registry: MemoryRegistry, publication: Publication
) -> None:
    artifact_set = await make_set(registry, ONE)
    foreign = await make_set(registry, TWO)
    sensor = repository_of(BLUEPRINT, "sensor")
    digest = foreign.artifacts["sensor"].descriptor.digest
    raw = await registry.manifest(sensor.with_digest(digest))
    await registry.push_manifest(sensor.with_tag("sha-1111111"), raw.content, raw.media_type)

    with pytest.raises(TagCollisionError, match="TagCollision"):
        await publication.publish(BLUEPRINT, artifact_set)
    assert (await registry.resolve(sensor.with_tag("sha-1111111"))).digest == digest


async def test_the_channel_stays_when_the_caller_says_so(registry: MemoryRegistry, publication: Publication) -> None:
    before, after = await make_set(registry, ONE), await make_set(registry, TWO)
    for artifact_set in (before, after):
        await publication.publish(BLUEPRINT, artifact_set)
    await publication.take_channel(BLUEPRINT, before, anyone)
    asked: list[str | None] = []

    async def refuse(current: str | None) -> bool:
        asked.append(current)
        return False

    assert not await publication.take_channel(BLUEPRINT, after, refuse)
    assert asked == [ONE]
    assert await is_at(registry, before, "canary")


async def test_a_set_without_services_is_a_set(publication: Publication) -> None:
    empty = ArtifactSet(ONE, "", {})
    await publication.publish(BLUEPRINT, empty)

    assert await publication.find_set(BLUEPRINT, ONE) == empty


async def test_a_registry_that_fails_is_not_taken_for_an_empty_one(registry: MemoryRegistry) -> None:
    def fail(_operation: str) -> None:
        raise RemoteError("registry answered 500")

    registry.before = fail
    with pytest.raises(RemoteError, match="500"):
        await Publication(registry).find_set(BLUEPRINT, ONE)
