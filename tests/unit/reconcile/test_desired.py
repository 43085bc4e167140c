"""From a real repository through the real kustomize to desired objects; only the registry is pretended."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fakes.worktree import Worktree
from towpath.blueprint.load import load_blueprint
from towpath.blueprint.model import Blueprint
from towpath.errors import NotFoundError
from towpath.kube.objects import Object, key_of
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.image import ImageConfig
from towpath.oci.manifest import Manifest
from towpath.oci.platform import Platform
from towpath.oci.reference import Reference
from towpath.ociclient.errors import Failure, PullCause, PullError
from towpath.ociclient.images import Image
from towpath.reconcile.artifacts import ArtifactMissingError, ArtifactResolver, FirstBuildAwaitedError
from towpath.reconcile.desired import GitDesiredSource
from towpath.reconcile.trees import TreeStore
from towpath.render.errors import RenderError
from towpath.render.images import find_images
from towpath.render.kustomize import Renderer
from towpath.source.repository import GitRepository

PLATFORM = Platform("linux", "amd64")
MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"
SENSOR = "registry.test/home/sensor"
FILES = {
    "towpath.yaml": "name: home\nregistry: registry.test/home\n",
    "services/sensor/main.py": "print(1)\n",
    "k3s/base/kustomization.yaml": "resources: [sensor.yaml, proxy.yaml]\n",
    "k3s/base/sensor.yaml": """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: sensor}
spec:
  selector: {matchLabels: {app: sensor}}
  template:
    metadata: {labels: {app: sensor}}
    spec: {containers: [{name: main, image: sensor}]}
""",
    "k3s/base/proxy.yaml": """
apiVersion: apps/v1
kind: Deployment
metadata: {name: proxy}
spec:
  selector: {matchLabels: {app: proxy}}
  template:
    metadata: {labels: {app: proxy}}
    spec: {containers: [{name: main, image: "docker.io/library/nginx:1.27"}]}
""",
}


def overlay(tag: str, *, namespace: str = "namespace: dev\n") -> str:
    return f"{namespace}resources: [../../base]\nimages: [{{name: sensor, newName: {SENSOR}, newTag: {tag}}}]\n"


@dataclass
class Artifacts:
    """Satisfies `reconcile.artifacts.Images`: tags and labels that tests set."""

    tags: dict[str, str] = field(default_factory=dict)
    labels: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    failure: PullCause | None = None

    def push(self, tag: str, digest: str, **labels: str) -> None:
        self.tags[tag] = digest
        names = {"revision": "org.opencontainers.image.revision", "tree": "dev.towpath.tree"}
        self.labels[digest] = {names[name]: value for name, value in labels.items()}

    async def resolve(self, reference: Reference) -> Descriptor:
        self.asked.append(f"resolve {reference}")
        if self.failure is not None or reference.tag not in self.tags:
            raise PullError(reference, Failure(self.failure or PullCause.NOT_FOUND, "404"))
        return Descriptor(MEDIA_TYPE, Digest.parse(self.tags[reference.tag]), 7)

    async def image(self, reference: Reference, platform: Platform) -> Image:
        self.asked.append(f"image {reference}")
        if self.failure is not None:
            raise PullError(reference, Failure(self.failure, f"for {platform}"))
        descriptor = Descriptor(MEDIA_TYPE, Digest.of(b""), 0)
        config = ImageConfig(platform=platform, labels=self.labels.get(str(reference.digest), {}))
        return Image(reference, descriptor, Manifest(config=descriptor, layers=()), config)


class Platformed:
    """A platform repository and the desired states it gives."""

    def __init__(self, directory: Path) -> None:
        self.origin = directory / "origin.git"
        self.repository = GitRepository(self.origin)
        self.worktree = Worktree(directory / "work", str(self.origin))
        self.artifacts = Artifacts()
        self.renderer = Renderer()
        self.source = GitDesiredSource(
            self.repository,
            self.blueprint_at,
            branch="main",
            trees=TreeStore(self.repository, directory / "trees"),
            renderer=self.renderer,
            resolver=ArtifactResolver(self.artifacts, platform=PLATFORM),
        )

    async def blueprint_at(self, commit: str) -> Blueprint:
        text = await self.repository.find_file(commit, "towpath.yaml")
        paths = await self.repository.paths(commit)
        return load_blueprint((text or b"").decode(), paths, default_name="home")

    def push(self, files: dict[str, str], message: str = "A change") -> str:
        made = self.worktree.commit(files, message)
        self.worktree.push()
        return made

    def tree_of(self, path: str) -> str:
        return self.worktree.git("rev-parse", f"HEAD:{path}")


@pytest.fixture
async def platform(tmp_path: Path) -> Platformed:
    made = Platformed(tmp_path)
    await made.repository.init()
    return made


def digest(letter: str) -> str:
    return f"sha256:{letter * 64}"


def images(objects: tuple[Object, ...]) -> dict[str, str]:
    return {use.key.name: use.image for use in find_images(objects)}


async def test_a_channel_becomes_a_digest_and_tells_its_commit(platform: Platformed) -> None:
    head = platform.push({**FILES, "k3s/overlays/dev/kustomization.yaml": overlay("canary")})
    platform.artifacts.push("canary", digest("1"), revision=head, tree=platform.tree_of("services/sensor"))
    desired = await platform.source.resolve("dev")
    assert (desired.environment, desired.application, desired.revision) == ("dev", "home/dev", head)
    assert images(desired.objects) == {
        "sensor": f"{SENSOR}:canary@{digest('1')}",
        "proxy": "docker.io/library/nginx:1.27",
    }
    artifact = desired.artifacts["sensor"]
    assert (artifact.tag, artifact.channel, artifact.digest, artifact.revision) == (
        "canary",
        "canary",
        digest("1"),
        head,
    )
    assert [str(key) for key in artifact.workloads] == ["StatefulSet/dev/sensor"]
    assert desired.caught_up


async def test_a_moved_channel_is_followed_without_rendering_again(platform: Platformed) -> None:
    platform.push({**FILES, "k3s/overlays/dev/kustomization.yaml": overlay("canary")})
    platform.artifacts.push("canary", digest("1"))
    await platform.source.resolve("dev")
    platform.artifacts.push("canary", digest("2"))
    desired = await platform.source.resolve("dev")
    assert desired.artifacts["sensor"].digest == digest("2")


async def test_a_channel_lags_until_it_is_built_from_the_trees_of_the_commit(platform: Platformed) -> None:
    platform.push({**FILES, "k3s/overlays/dev/kustomization.yaml": overlay("canary")})
    old = platform.tree_of("services/sensor")
    platform.artifacts.push("canary", digest("1"), tree=old)
    platform.push({"services/sensor/main.py": "print(2)\n"})
    assert not (await platform.source.resolve("dev")).caught_up
    platform.artifacts.push("canary", digest("2"), tree=platform.tree_of("services/sensor"))
    assert (await platform.source.resolve("dev")).caught_up
    platform.push({"README.md": "words\n"})
    assert (await platform.source.resolve("dev")).caught_up


async def test_a_pin_keeps_its_tag_and_gets_its_digest(platform: Platformed) -> None:
    platform.push({**FILES, "k3s/overlays/dev/kustomization.yaml": overlay("sha-1234567")})
    platform.artifacts.push("sha-1234567", digest("1"), revision="1234567" + "0" * 33)
    for _ in range(2):
        desired = await platform.source.resolve("dev")
    artifact = desired.artifacts["sensor"]
    assert (artifact.tag, artifact.channel) == ("sha-1234567", "")
    assert artifact.reference == f"{SENSOR}:sha-1234567@{digest('1')}"
    assert platform.artifacts.asked == [
        f"resolve {SENSOR}:sha-1234567",
        f"image {SENSOR}:sha-1234567@{digest('1')}",
    ]


async def test_a_pin_the_registry_does_not_have_names_subject_tag_and_next_step(platform: Platformed) -> None:
    platform.push({**FILES, "k3s/overlays/dev/kustomization.yaml": overlay("sha-7654321")})
    with pytest.raises(ArtifactMissingError) as caught:
        await platform.source.resolve("dev")
    assert caught.value.message == (
        f"StatefulSet/dev/sensor cannot be updated (ArtifactMissing): {SENSOR} has no sha-7654321 in the registry"
    )
    assert "keeps running" in caught.value.hint


async def test_a_channel_that_no_build_has_set_yet_is_waited_for(platform: Platformed) -> None:
    platform.push({**FILES, "k3s/overlays/dev/kustomization.yaml": overlay("canary")})
    with pytest.raises(FirstBuildAwaitedError) as caught:
        await platform.source.resolve("dev")
    assert caught.value.message == f"waiting for the first build of sensor (NotBuilt): {SENSOR} has no canary yet"


async def test_a_registry_that_fails_is_no_missing_artifact(platform: Platformed) -> None:
    platform.push({**FILES, "k3s/overlays/dev/kustomization.yaml": overlay("canary")})
    platform.artifacts.failure = PullCause.UNREACHABLE
    with pytest.raises(PullError, match="Unreachable"):
        await platform.source.resolve("dev")


async def test_an_image_for_another_platform_is_the_nodes_business(platform: Platformed) -> None:
    platform.push(
        {
            **FILES,
            "k3s/overlays/dev/kustomization.yaml": overlay(f"canary\n  digest: {digest('1')}".replace("\n  ", ", ")),
        }
    )
    platform.artifacts.failure = PullCause.NO_PLATFORM
    desired = await platform.source.resolve("dev")
    assert desired.artifacts["sensor"].revision == ""


async def test_a_workload_with_the_placeholder_tag_is_left_out_and_named(platform: Platformed) -> None:
    platform.push({**FILES, "k3s/overlays/prod/kustomization.yaml": overlay("unreleased", namespace="")})
    desired = await platform.source.resolve("prod")
    assert [str(key_of(obj)) for obj in desired.objects] == ["Deployment/prod/proxy"]
    assert {str(key): services for key, services in desired.not_promoted.items()} == {
        "StatefulSet/prod/sensor": ("sensor",)
    }
    assert desired.artifacts == {}
    assert platform.artifacts.asked == []


async def test_objects_without_a_namespace_live_in_that_of_the_environment(platform: Platformed) -> None:
    platform.push({**FILES, "k3s/overlays/prod/kustomization.yaml": overlay("canary", namespace="")})
    platform.artifacts.push("canary", digest("1"))
    desired = await platform.source.resolve("prod")
    assert {obj["metadata"]["namespace"] for obj in desired.objects} == {"prod"}


async def test_a_trailer_confirms_pruning_for_the_environments_it_names(platform: Platformed) -> None:
    overlays = {f"k3s/overlays/{name}/kustomization.yaml": overlay("unreleased") for name in ("dev", "prod")}
    platform.push({**FILES, **overlays}, "Drop all\n\nTowpath-Prune: prod\n")
    assert (await platform.source.resolve("prod")).prune_confirmed
    assert not (await platform.source.resolve("dev")).prune_confirmed


async def test_a_wrong_overlay_is_reported_with_its_file(platform: Platformed) -> None:
    platform.push({**FILES, "k3s/overlays/dev/kustomization.yaml": "resources: [gone.yaml]\n"})
    with pytest.raises(RenderError) as caught:
        await platform.source.resolve("dev")
    assert caught.value.file == "k3s/overlays/dev/kustomization.yaml"
    assert caught.value.reason == "k3s/overlays/dev/gone.yaml does not exist"


async def test_an_empty_repository_has_no_desired_state(platform: Platformed) -> None:
    with pytest.raises(NotFoundError, match="branch main is empty"):
        await platform.source.resolve("dev")


async def test_an_unknown_environment_is_named(platform: Platformed) -> None:
    platform.push(FILES)
    with pytest.raises(NotFoundError, match="environment qa is not known"):
        await platform.source.resolve("qa")
