"""Which artifact each image of ours names: channel and pinned tags become digests, and digests tell their commit.

Only images below the platform's registry prefix are looked at; every other image is left as written. A channel is asked
for each time (it moves); what a `sha-` tag or a digest says never changes and is remembered.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol

from towpath.errors import UserError
from towpath.kube.objects import ObjectKey
from towpath.oci.annotations import REVISION, TREE
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.platform import Platform
from towpath.oci.reference import InvalidReferenceError, Reference
from towpath.oci.tags import is_channel
from towpath.ociclient.errors import PullCause, PullError
from towpath.ociclient.images import Image
from towpath.render.images import ContainerImage

# Some hundred bytes each: enough for every artifact a small platform runs or rolls back to.
REMEMBERED = 512


@dataclass(frozen=True, slots=True)
class Artifact:
    """What an environment is to run of a service.

    Attributes:
        service: its name.
        reference: `registry/repository:tag@sha256:…`, as it stands in the desired objects.
        tag: as the overlay has it: `canary`, or `sha-…`.
        digest: what the tag named when it was resolved.
        revision: the commit that built it (a label of the image); empty if the image does not say.
        channel: the tag again if it is one that moves, else empty.
        tree: the git tree id of the service's directory it was built from; empty if the image does not say.
        workloads: the objects that run it.
    """

    service: str
    reference: str
    tag: str
    digest: str
    revision: str
    channel: str = ""
    tree: str = ""
    workloads: tuple[ObjectKey, ...] = ()


class ArtifactMissingError(UserError):
    """An overlay names an artifact that the registry does not have. Nothing is applied."""

    def __init__(self, subject: str, reference: Reference) -> None:
        self.reference = reference
        tag = reference.tag or str(reference.digest)
        super().__init__(
            f"{subject} cannot be updated (ArtifactMissing): {reference.name} has no {tag} in the registry",
            hint="look for the right tag with `towpath history`, or promote again; what runs keeps running",
        )


class FirstBuildAwaitedError(UserError):
    """An overlay follows a channel that no build has set yet: normal after the first push. Nothing is applied."""

    def __init__(self, service: str, reference: Reference) -> None:
        self.reference = reference
        super().__init__(
            f"waiting for the first build of {service} (NotBuilt): {reference.name} has no {reference.tag} yet",
            hint="wait for the build; `towpath explain` tells how it goes",
        )


class Images(Protocol):
    """The registry, as far as it is needed here."""

    async def resolve(self, reference: Reference) -> Descriptor:
        """What a reference names. Raises PullError."""
        ...

    async def image(self, reference: Reference, platform: Platform) -> Image:
        """The image for one platform. Raises PullError."""
        ...


@dataclass(frozen=True, slots=True)
class _Labels:
    revision: str
    tree: str


class ArtifactResolver:
    """Resolves images to artifacts; remembers what cannot change."""

    def __init__(self, images: Images, *, platform: Platform, remembered: int = REMEMBERED) -> None:
        self._images = images
        self._platform = platform
        self._remembered = remembered
        self._digests: OrderedDict[str, Digest] = OrderedDict()
        self._labels: OrderedDict[str, _Labels] = OrderedDict()

    async def resolve(self, service: str, reference: Reference, uses: list[ContainerImage]) -> Artifact:
        """The artifact that `reference` names at this moment.

        Raises:
            ArtifactMissingError: the registry does not have it.
            FirstBuildAwaitedError: the same, of a channel.
            PullError: the registry did not answer as it should; try again.
        """
        try:
            digest = reference.digest or await self._digest(reference)
            pinned = reference.with_digest(digest)
            labels = await self._read_labels(pinned)
        except PullError as error:
            if error.cause is PullCause.NOT_FOUND and is_channel(reference.tag) and reference.digest is None:
                raise FirstBuildAwaitedError(service, reference) from error
            if error.cause in {PullCause.NOT_FOUND, PullCause.CONTENT_MISSING}:
                raise ArtifactMissingError(str(uses[0].key), reference) from error
            raise
        return Artifact(
            service=service,
            reference=str(pinned),
            tag=reference.tag,
            digest=str(digest),
            revision=labels.revision,
            channel=reference.tag if is_channel(reference.tag) else "",
            tree=labels.tree,
            workloads=tuple(dict.fromkeys(use.key for use in uses)),
        )

    async def _digest(self, reference: Reference) -> Digest:
        name = str(reference)
        if name in self._digests:
            return self._digests[name]
        digest = (await self._images.resolve(reference)).digest
        if reference.tag and not is_channel(reference.tag):
            self._digests[name] = digest
            self._forget_oldest(self._digests)
        return digest

    async def _read_labels(self, pinned: Reference) -> _Labels:
        key = f"{pinned.name}@{pinned.digest}"
        known = self._labels.get(key)
        if known is None:
            try:
                labels = (await self._images.image(pinned, self._platform)).config.labels
            except PullError as error:
                if error.cause not in {PullCause.NO_PLATFORM, PullCause.INVALID_CONTENT}:
                    raise
                # It exists; whether it can run is the node's business, and its message is the better one.
                labels = {}
            known = self._labels[key] = _Labels(labels.get(REVISION, ""), labels.get(TREE, ""))
            self._forget_oldest(self._labels)
        return known

    def _forget_oldest(self, memory: OrderedDict[str, Digest] | OrderedDict[str, _Labels]) -> None:
        while len(memory) > self._remembered:
            memory.popitem(last=False)


def find_service(image: str, registry: str) -> tuple[str, Reference] | None:
    """The service whose image this is, and the parsed reference; None for images that are not of this platform."""
    try:
        reference = Reference.parse(image)
    except InvalidReferenceError:
        return None  # the API server or the node says what is wrong with it
    prefix = f"{registry.rstrip('/')}/"
    return (reference.name.removeprefix(prefix), reference) if reference.name.startswith(prefix) else None
