"""What CI asks of the repository and the builder."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fakes.observed import Observed
from towpath.build.image import BuildRequest, BuiltImage
from towpath.ci.ports import BuildJob
from towpath.errors import NotFoundError
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.image import ImageConfig, format_image_config
from towpath.oci.manifest import Index, Manifest, format_manifest, parse_manifest
from towpath.oci.platform import Platform
from towpath.server.blueprints import Blueprints
from towpath.server.ci_adapters import ServiceBuilder
from towpath.server.trees import RepositoryTrees

ARM64, AMD64 = Platform("linux", "arm64"), Platform("linux", "amd64")


@pytest.fixture
async def observed(tmp_path: Path) -> AsyncIterator[Observed]:
    async with await Observed.open(tmp_path) as platform:
        yield platform


def trees_of(observed: Observed, branch: str = "main") -> RepositoryTrees:
    return RepositoryTrees(observed.repository, Blueprints(observed.repository, default_name="home"), branch=branch)


async def test_a_snapshot_has_the_tree_of_every_service(observed: Observed) -> None:
    head = await observed.world.push({"services/lamp/main.py": "lamp"})
    snapshot = await trees_of(observed).snapshot(head)

    assert set(snapshot.trees) == {"lamp", "sensor"}
    assert None not in snapshot.trees.values()
    assert snapshot.committed_at == observed.clock.now()


async def test_the_newest_commit_and_its_ancestors(observed: Observed) -> None:
    first = await observed.world.head()
    second = await observed.world.push({"README.md": "hello"})
    trees = trees_of(observed)

    assert await trees.newest() == second
    assert await trees.ancestors(second) == [first]
    assert await trees.is_ancestor(first, second)
    assert not await trees.is_ancestor(second, first)
    assert await trees_of(observed, "other").newest() is None
    with pytest.raises(NotFoundError):
        await trees.snapshot("f" * 40)


async def test_a_service_is_written_for_the_builder(observed: Observed, tmp_path: Path) -> None:
    await trees_of(observed).export(await observed.world.head(), "services/sensor", tmp_path / "context")

    assert (tmp_path / "context" / "main.py").read_text() == "first"


class FakeBuilder:
    """Satisfies what the adapter asks of a builder."""

    def __init__(self) -> None:
        self.requests: list[BuildRequest] = []
        self.pushed: list[object] = []

    async def build(self, request: BuildRequest) -> Any:
        self.requests.append(request)

        config = format_image_config(ImageConfig(request.platform))
        manifest = Manifest(Descriptor("config", Digest.of(config), len(config)), ())
        raw = format_manifest(manifest)
        return BuiltImage(raw, manifest.media_type, Digest.of(raw), config, (), cached=True, warnings=("careful",))

    async def push(self, image: object, repository: object, *, on_sent: object) -> None:
        del image, on_sent
        self.pushed.append(repository)


async def test_a_job_becomes_a_build_for_this_platform(observed: Observed, tmp_path: Path) -> None:
    head = await observed.world.head()
    service = (await observed.world.blueprint(head)).get_service("sensor")
    builder: Any = FakeBuilder()
    adapter = ServiceBuilder(builder, platforms=[ARM64], source_url="https://git.example/lab")
    image = await adapter.build(BuildJob(service, tmp_path, head, "tree", 1.0, "sha-1234567"))
    reference: Any = "registry/sensor"
    await image.push(reference)

    (request,) = builder.requests
    assert (request.platform.architecture, request.source_url) == ("arm64", "https://git.example/lab")
    assert (request.commit, request.tree_id, request.tag) == (head, "tree", "sha-1234567")
    assert (image.cached, image.warnings) == (True, ("careful",))
    assert image.size == image.descriptor.size + len(image.images[0][1].config_raw)
    assert builder.pushed == ["registry/sensor"]


async def test_several_platforms_become_one_index_pushed_after_its_images(observed: Observed, tmp_path: Path) -> None:
    head = await observed.world.head()
    service = (await observed.world.blueprint(head)).get_service("sensor")
    builder: Any = FakeBuilder()
    adapter = ServiceBuilder(builder, platforms=[ARM64, AMD64], source_url="")
    image = await adapter.build(BuildJob(service, tmp_path, head, "tree", 1.0, "sha-1234567"))
    reference: Any = "registry/sensor"
    await image.push(reference)

    index = parse_manifest(image.whole.manifest_raw)
    assert isinstance(index, Index)
    assert [entry.platform for entry in index.manifests] == [AMD64, ARM64]
    assert image.warnings == ("careful",)
    assert len(builder.pushed) == 3


@pytest.mark.parametrize(
    ("remote", "declared", "expected"),
    [
        ("git@git.example:me/lab.git", "", "https://git.example/me/lab"),
        ("/srv/lab.git", "", ""),
        ("/srv/lab.git", "https://git.example/me/lab", "https://git.example/me/lab"),
    ],
)
async def test_images_name_the_repository_as_the_blueprint_does_or_else_by_its_remote(
    observed: Observed, tmp_path: Path, remote: str, declared: str, expected: str
) -> None:
    head = await observed.world.head()
    service = (await observed.world.blueprint(head)).get_service("sensor")
    builder: Any = FakeBuilder()
    adapter = ServiceBuilder(builder, platforms=[ARM64], source_url=remote)
    await adapter.build(BuildJob(service, tmp_path, head, "tree", 1.0, "sha-1234567", source=declared))

    assert [request.source_url for request in builder.requests] == [expected]
