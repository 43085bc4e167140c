"""What CI needs from the source, the builder, the registry and the timeline. The server wires them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from towpath.blueprint.model import Blueprint, Service
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.manifest import RawManifest
from towpath.oci.reference import Reference


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A commit as CI reads it.

    Attributes:
        commit: the full id.
        committed_at: wall time in seconds since the epoch.
        blueprint: as that commit has it.
        trees: Git's id of each service's directory, by service name; None where there is none.
    """

    commit: str
    committed_at: float
    blueprint: Blueprint
    trees: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class BuildJob:
    """A service to be built.

    Attributes:
        service: from the blueprint.
        context: its directory.
        commit: the full id of the commit it is built from; empty outside of Git.
        tree_id: Git's id of the tree that the directory is exactly; empty when it may differ from any.
        committed_at: time of the commit, in seconds since the epoch.
        tag: the artifact tag.
        only: the files of the directory that count; None for all.
        source: where the repository is found, if the blueprint says so.
    """

    service: Service
    context: Path
    commit: str
    tree_id: str
    committed_at: float
    tag: str
    only: frozenset[str] | None = None
    source: str = ""


class SourceTrees(Protocol):
    """The repository whose branch is built."""

    async def newest(self) -> str | None:
        """The commit the branch is at; None when there is no such branch."""
        ...

    async def snapshot(self, commit: str) -> Snapshot:
        """A commit. Raises NotFoundError, and UserError for a broken blueprint."""
        ...

    async def ancestors(self, commit: str) -> list[str]:
        """The commits it contains, newest first, without itself; a hundred are plenty. Raises NotFoundError."""
        ...

    async def export(self, commit: str, path: str, destination: Path) -> None:
        """Write a directory of a commit into an absent one. Raises UserError for content that cannot be written."""
        ...

    async def is_ancestor(self, ancestor: str, descendant: str) -> bool:
        """Whether one commit is contained in another; a commit contains itself."""
        ...


class PendingImage(Protocol):
    """An image that was built and is in no registry yet."""

    @property
    def descriptor(self) -> Descriptor:
        """Of its manifest."""
        ...

    @property
    def cached(self) -> bool:
        """Whether its layers were there already."""
        ...

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know though the build went well."""
        ...

    @property
    def size(self) -> int:
        """Bytes of everything that a node pulls."""
        ...

    async def push(self, repository: Reference, *, on_sent: Callable[[int], None]) -> None:
        """Put it into a repository by digest; `on_sent` is told the bytes. Raises RemoteError and IntegrityError."""
        ...


class ImageBuilder(Protocol):
    """Whoever builds images."""

    async def find(self, job: BuildJob) -> PendingImage | None:
        """The image, if this tree was built before; the directory of the job need not exist. Raises as `build`."""
        ...

    async def build(self, job: BuildJob) -> PendingImage:
        """Build. Raises UserError for what the user can mend."""
        ...

    async def signs(self) -> bool:
        """Whether there is a key to sign with. Raises UserError."""
        ...

    async def is_signed(self, image: Reference, /) -> bool:
        """Whether the key, if there is one, has signed an image, named by digest. Raises UserError and RemoteError."""
        ...

    async def sign(self, image: PendingImage, repository: Reference, /) -> bool:
        """Attest an image that is in a repository, unless the key has done so or there is none; whether it is signed.

        Raises UserError and RemoteError.
        """
        ...


class ArtifactStore(Protocol):
    """The registry that sets and tags are published to; `ociclient.RegistryClient` satisfies it."""

    async def resolve(self, reference: Reference, /) -> Descriptor:
        """What a reference points to. Raises PullError."""
        ...

    async def manifest(self, reference: Reference, /) -> RawManifest:
        """A manifest or an index. Raises PullError."""
        ...

    async def push_manifest(self, reference: Reference, raw: bytes, media_type: str, /) -> Digest:
        """Put a manifest under the reference's tag. Raises PushError and TagTakenError."""
        ...


class Recorder(Protocol):
    """Where the stages of a commit are stamped."""

    def stamp(self, commit: str, stage: str, *, environment: str = "") -> None:
        """A commit reached a stage."""
        ...
