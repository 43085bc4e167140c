"""Heavy parts are made by the first call that needs them, once, and not before."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fakes.clock import VirtualClock
from fakes.memory_registry import MemoryRegistry
from towpath.blueprint.model import Service
from towpath.build.builder import Builder
from towpath.build.cache import LayerCache
from towpath.build.image import BuildRequest, BuiltImage
from towpath.errors import UserError
from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.manifest import Manifest, format_manifest
from towpath.oci.platform import Platform
from towpath.oci.reference import Reference
from towpath.server.ondemand import BuilderOnDemand, DockerfilesOnDemand, RegistryOnDemand

SITE = Service("site", "services/site", base="scratch", static=".", entrypoint=("/app/server",))
REPOSITORY = Reference.parse("127.0.0.1:7070/lab/site")


class Opening:
    """Opens a registry, and counts."""

    def __init__(self) -> None:
        self.registry: Any = MemoryRegistry()
        self.times = 0
        self.failures: list[Exception] = []

    async def __call__(self) -> Any:
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop()
        self.times += 1
        return self.registry


class Yard:
    """A cache, a service, and a builder that is made when it is needed."""

    def __init__(self, root: Path) -> None:
        self.registry = MemoryRegistry()
        self.cache = LayerCache(root / "cache")
        self.made: list[Builder] = []
        self.threads: list[threading.Thread] = []
        (root / "site").mkdir()
        (root / "site" / "index.html").write_text("hello\n")
        platform = Platform("linux", "amd64")
        self.request = BuildRequest(SITE, root / "site", "c" * 40, "aaaa", "", 1_700_000_000.0, "sha-c", platform)

    def make(self) -> Builder:
        self.threads.append(threading.current_thread())
        self.made.append(Builder(cache=self.cache.blobs.parent, registry=self.registry, clock=VirtualClock()))
        return self.made[-1]

    def builder(self) -> BuilderOnDemand:
        return BuilderOnDemand(self.cache, self.registry, self.make)


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path)


async def test_a_registry_that_nobody_asks_is_never_opened() -> None:
    opening = Opening()
    await RegistryOnDemand(opening).close()

    assert opening.times == 0


async def test_questions_at_once_open_a_registry_once() -> None:
    opening = Opening()
    registry = RegistryOnDemand(opening)
    content, target = b"{}", REPOSITORY.with_tag("t")
    descriptor = Descriptor(media.OCI_LAYER, Digest.of(content), len(content))
    raw = format_manifest(Manifest(descriptor, (descriptor,)))

    async def open_content() -> AsyncIterator[bytes]:
        yield content

    sent, stored = await asyncio.gather(
        registry.push_blob(REPOSITORY, descriptor, open_content),
        registry.push_manifest(target, raw, media.OCI_MANIFEST),
    )
    read = [chunk async for chunk in registry.blob(REPOSITORY, descriptor)]

    assert (sent, b"".join(read), opening.times) == (True, content, 1)
    assert (await registry.resolve(target)).digest == stored
    assert list(await registry.referrers(REPOSITORY.with_digest(stored))) == []


async def test_a_registry_that_could_not_be_opened_is_tried_again() -> None:
    opening = Opening()
    opening.failures.append(UserError("no login"))
    registry = RegistryOnDemand(opening)
    with pytest.raises(UserError, match="no login"):
        await registry.client()

    assert await registry.client() is opening.registry


async def test_what_builds_dockerfiles_is_made_for_the_first_one(yard: Yard) -> None:
    class Images:
        """Satisfies `build.builder.DockerfileImages`."""

        async def build(self, request: BuildRequest, dockerfile: str, /) -> BuiltImage:
            built.append(dockerfile)
            return await yard.make().build(request)

    built: list[str] = []
    made: list[Images] = []

    def make() -> Images:
        made.append(Images())
        return made[-1]

    dockerfiles = DockerfilesOnDemand(make)
    assert made == []
    await dockerfiles.build(yard.request, "one")
    await dockerfiles.build(yard.request, "two")
    assert (len(made), built) == (1, ["one", "two"])


async def test_what_was_built_before_needs_no_builder(yard: Yard) -> None:
    image = await yard.make().build(yard.request)
    found = await yard.builder().find(yard.request)

    assert found is not None
    assert (found.digest, found.cached, len(yard.made)) == (image.digest, True, 1)


async def test_the_builder_is_made_once_and_beside_the_loop_when_nothing_is_found(yard: Yard) -> None:
    builder = yard.builder()
    assert await builder.find(yard.request) is None
    image = await builder.build(yard.request)
    await builder.push(image, REPOSITORY)

    assert len(yard.made) == 1
    assert yard.threads != [threading.current_thread()]
    assert (REPOSITORY.name, image.digest) in yard.registry.manifests


async def test_a_builder_that_cannot_be_made_fails_the_build_and_not_the_look(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> Builder:
        raise UserError("no builder")

    monkeypatch.setattr(yard, "make", fail)
    builder = yard.builder()

    assert await builder.find(yard.request) is None
    with pytest.raises(UserError, match="no builder"):
        await builder.build(yard.request)
