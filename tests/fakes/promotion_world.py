"""A platform repository with two environments, a registry of images and a runtime, all under a test's hand.

Git is real; the registry and the runtime are fakes of the gate's ports.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fakes.clock import VirtualClock
from towpath.blueprint.load import load_blueprint
from towpath.blueprint.model import UNRELEASED_TAG, Blueprint
from towpath.kube.objects import Object
from towpath.oci.annotations import REVISION
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.image import ImageConfig
from towpath.oci.manifest import Manifest, RawManifest
from towpath.oci.platform import Platform
from towpath.oci.reference import Reference
from towpath.oci.tags import sha_tag
from towpath.ociclient.errors import Failure, PullCause, PullError
from towpath.ociclient.images import Image
from towpath.promote.gate.evidence import Artifacts, Standing
from towpath.promote.preview import Preview
from towpath.promote.promotion import Desk
from towpath.promote.rollback import Standing as PastStanding
from towpath.source.repository import GitRepository

PLATFORM = Platform("linux", "amd64")
REGISTRY = "127.0.0.1:7070/home"
OVERLAY = """\
resources: [../../base]
images:
  - name: sensor
    newName: {registry}/sensor
    newTag: {tag}   # the pin
"""
BLUEPRINT = "registry: 127.0.0.1:7070/home\nenvironments:\n  prod:\n    soak: 60s\n"


def digest_of(text: str) -> Digest:
    """A digest that a test can name by a word."""
    return Digest.of(text.encode())


@dataclass
class FakeArtifacts:
    """A registry: images by tag, digests that are missing or cut short, and whether pulling is denied."""

    images: dict[str, Image] = field(default_factory=dict)
    missing: set[Digest] = field(default_factory=set)
    cut_short: set[Digest] = field(default_factory=set)
    denied: bool = False

    def add(self, tag: str, revision: str, *, word: str = "") -> Digest:
        """Publish an image under a tag; the same word gives the same digest."""
        name = word or tag
        blob = Descriptor("application/octet-stream", digest_of(f"layer {name}"), 3)
        config = Descriptor("application/json", digest_of(f"config {name}"), 3)
        descriptor = Descriptor("manifest", digest_of(f"manifest {name}"), 3, platform=PLATFORM)
        labels = {REVISION: revision} if revision else {}
        reference = Reference.parse(f"{REGISTRY}/sensor").with_tag(tag)
        self.images[tag] = Image(reference, descriptor, Manifest(config, (blob,)), ImageConfig(PLATFORM, labels=labels))
        return descriptor.digest

    async def manifest(self, reference: Reference) -> RawManifest:
        """The stored manifest."""
        image = await self.image(reference, PLATFORM)
        return RawManifest(b"{}", image.descriptor.media_type, image.descriptor.digest)

    async def image(self, reference: Reference, platform: Platform) -> Image:
        """The image of a tag or digest."""
        del platform
        if self.denied:
            raise PullError(reference, Failure(PullCause.FORBIDDEN, "403 Forbidden"))
        for tag, image in self.images.items():
            wanted = image.descriptor.digest == reference.digest if reference.digest else tag == reference.tag
            if wanted and image.descriptor.digest not in self.missing:
                return image
        raise PullError(reference, Failure(PullCause.NOT_FOUND, "not found"))

    async def find_blob(self, reference: Reference, digest: Digest) -> int | None:
        """The size of a blob."""
        del reference
        if digest in self.missing:
            return None
        return 2 if digest in self.cut_short else 3


@dataclass
class FakeRuntime:
    """What runs where, and what became of digests."""

    standings: dict[tuple[str, str], Standing] = field(default_factory=dict)
    past: dict[str, PastStanding] = field(default_factory=dict)

    async def standing(self, environment: str, service: str) -> Standing | None:
        """How a service stands."""
        return self.standings.get((environment, service))

    async def standing_of(self, environment: str, service: str, digest: str) -> PastStanding:
        """What became of a digest."""
        del environment, service
        return self.past.get(digest, PastStanding.UNKNOWN)


class TextRenderer:
    """Renders an overlay as one ConfigMap with the kustomization's text, so that a preview shows the edit."""

    async def render(self, directory: Path, overlay: str, *, key: str = "") -> list[Object]:
        """One object."""
        del key
        text = (directory / overlay / "kustomization.yaml").read_text()
        return [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "overlay"}, "data": {"text": text}}]


@dataclass
class World:
    """Everything a promotion touches."""

    repository: GitRepository
    artifacts: FakeArtifacts
    environment_artifacts: FakeArtifacts
    runtime: FakeRuntime
    clock: VirtualClock
    announced: list[str] = field(default_factory=list)

    async def blueprint(self, commit: str) -> Blueprint:
        """The blueprint at a commit."""
        text = (await self.repository.read(commit, "towpath.yaml")).decode()
        return load_blueprint(text, await self.repository.paths(commit), default_name="home")

    async def artifacts_of(self, environment: str) -> Artifacts:
        """The registry as an environment sees it."""
        del environment
        return self.environment_artifacts

    async def announce(self, branch: str) -> None:
        """Remember that a commit was announced."""
        self.announced.append(branch)

    def desk(self) -> Desk:
        """What promotion works with."""
        return Desk(
            repository=self.repository,
            history=self.repository,
            blueprint=self.blueprint,
            artifacts=self.artifacts,
            artifacts_of=self.artifacts_of,
            runtime=self.runtime,
            preview=Preview(self.repository, TextRenderer()),
            platform=PLATFORM,
            clock=self.clock,
            announce=self.announce,
        )

    async def head(self) -> str:
        """The newest commit."""
        head = await self.repository.find_commit("refs/heads/main")
        assert head is not None
        return head

    async def push(self, files: Mapping[str, str], message: str = "Change") -> str:
        """Commit files as a user would."""
        return await self.repository.commit_files(
            "main",
            {path: text.encode() for path, text in files.items()},
            message=message,
            author="Alice <alice@example.com>",
            parent=await self.repository.find_commit("refs/heads/main"),
        )

    async def build(self, source: str, *, verified_seconds: float | None = 3600.0) -> str:
        """Push a new source of the sensor, publish its image, and let dev run it healthy for a while; its tag."""
        commit = await self.push({"services/sensor/main.py": source}, f"Sensor: {source}")
        return self.publish(commit, verified_seconds=verified_seconds)

    def publish(self, commit: str, *, verified_seconds: float | None = 3600.0) -> str:
        """Publish the image of a commit and let dev run it; its tag."""
        tag = sha_tag(commit)
        digest = str(self.artifacts.add(tag, commit))
        self.environment_artifacts.images = self.artifacts.images
        healthy_since = None if verified_seconds is None else self.clock.now() - verified_seconds
        self.runtime.standings["dev", "sensor"] = Standing(
            digest, healthy_since, "" if healthy_since else "crashing", degraded=healthy_since is None
        )
        return tag

    async def pinned(self, environment: str = "prod") -> str:
        """The tag that the environment's overlay names."""
        text = (
            await self.repository.read(await self.head(), f"k3s/overlays/{environment}/kustomization.yaml")
        ).decode()
        return text.split("newTag: ")[1].split()[0]


async def make_world(directory: Path) -> World:
    """A world with nothing promoted yet."""
    clock = VirtualClock()
    repository = GitRepository(directory / "home.git", clock=clock)
    await repository.init()
    artifacts = FakeArtifacts()
    world = World(repository, artifacts, FakeArtifacts(), FakeRuntime(), clock)
    await world.push(
        {
            "towpath.yaml": BLUEPRINT,
            "services/sensor/main.py": "first",
            "k3s/base/kustomization.yaml": "resources: []\n",
            "k3s/overlays/dev/kustomization.yaml": OVERLAY.format(registry=REGISTRY, tag="canary"),
            "k3s/overlays/prod/kustomization.yaml": OVERLAY.format(registry=REGISTRY, tag=UNRELEASED_TAG),
        },
        "Start",
    )
    return world
