"""What the checks look at: the candidate, and the ports through which they see Git, the registry and the runtime.

Each port is what the checks need and no more. `GitRepository` satisfies `History`, `RegistryClient` satisfies
`Artifacts`; the server adapts the reconciler to `Runtime`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from towpath.attest.findings import Finding
from towpath.blueprint.model import Environment, Service
from towpath.oci.digest import Digest
from towpath.oci.manifest import RawManifest
from towpath.oci.platform import Platform
from towpath.oci.reference import Reference
from towpath.ociclient.images import Image
from towpath.promote.pins import Pin


class History(Protocol):
    """The platform repository's past."""

    async def find_commit(self, rev: str) -> str | None:
        """The full id of a revision, or None."""
        ...

    async def is_ancestor(self, ancestor: str, descendant: str) -> bool:
        """Whether the first commit is reachable from the second (a commit is its own ancestor)."""
        ...

    async def tree_ids(self, commit: str, paths: Iterable[str]) -> dict[str, str | None]:
        """The git tree id of each path at a commit."""
        ...


class Artifacts(Protocol):
    """A registry, seen with some credentials."""

    async def manifest(self, reference: Reference) -> RawManifest:
        """The stored manifest. Raises PullError."""
        ...

    async def image(self, reference: Reference, platform: Platform) -> Image:
        """The image for a platform. Raises PullError."""
        ...

    async def find_blob(self, reference: Reference, digest: Digest) -> int | None:
        """The size of a blob, or None if the registry lacks it."""
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """How an environment runs a service: the digest, and since when it has been healthy without a break.

    `healthy_since` is wall time, None while it is not healthy; `message` says why not, and `degraded` whether that is a
    fault or only not finished (a rollout, a start).
    """

    digest: str
    healthy_since: float | None
    message: str = ""
    degraded: bool = False


class Runtime(Protocol):
    """What runs where."""

    async def standing(self, environment: str, service: str) -> Standing | None:
        """How `service` stands in `environment`; None if it does not run there."""
        ...


class Attestations(Protocol):
    """What is attached to images, and whom the platform believes."""

    def trusted(self) -> Sequence[str]:
        """The names of the keys that are believed. Raises UserError when one cannot be read."""
        ...

    async def examine(self, reference: Reference, commit: str) -> Sequence[Finding]:
        """What those keys say of an image that should be built from this commit. Raises RemoteError, IntegrityError."""
        ...


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version that asks to enter an environment. `image` is None while the registry does not know the tag."""

    service: Service
    environment: Environment
    branch: str
    tag: str
    reference: Reference
    commit: str | None
    image: Image | None
    image_problem: str
    current: Pin | None
    current_commit: str | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that the checks may ask."""

    history: History
    artifacts: Artifacts
    as_environment: Artifacts
    runtime: Runtime
    quarantined: Mapping[str, str]
    platform: Platform
    now: float
    allow_downgrade: bool = False
    attestations: Attestations | None = None
