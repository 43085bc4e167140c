"""Copies a release, or the set of a commit, between this platform's registry and an outside one, by digest.

    <outside>/<service>            the images, under the artifact tags they have here, with all that refers to them
    <outside>/sets:sha-<7>         the set of a commit, as CI published it
    <outside>/releases:<env>       what an environment was released with; `<env>-<7>` is the same for good

Everything is read from these two indexes again, so an outside registry that was mirrored to is enough to restore a
registry that was lost. How a copy goes stands in `ociclient.copy`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from towpath.ci.sets import SETS_REPOSITORY, Artifact, ArtifactSet, format_set, parse_set
from towpath.errors import ConflictError, NotFoundError
from towpath.oci.digest import Digest
from towpath.oci.manifest import InvalidManifestError
from towpath.oci.reference import Reference
from towpath.oci.tags import sha_tag
from towpath.ociclient.client import RegistryClient
from towpath.ociclient.copy import Copied, Copier
from towpath.ociclient.errors import CorruptContentError, PullCause, PullError

RELEASES_REPOSITORY = "releases"


class ReleaseTakenError(ConflictError):
    """The target has a release under the tag that never moves, and it is another one."""


@dataclass(frozen=True, slots=True)
class Place:
    """One side: a client, and the prefix that a service's name is put after, as in `ghcr.io/me/lab`."""

    client: RegistryClient
    prefix: str

    def repository(self, name: str) -> Reference:
        """The repository of a service, or of the sets. Raises InvalidReferenceError."""
        return Reference.parse(f"{self.prefix}/{name}")


@dataclass(frozen=True, slots=True)
class Mirrored:
    """One image that is at the target whole."""

    service: str
    target: Reference
    copied: Copied


@dataclass(frozen=True, slots=True)
class Progress:
    """Who is told how it goes: each service as it begins and ends, and the bytes that were sent."""

    begin: Callable[[str], None] = lambda _service: None
    end: Callable[[Mirrored], None] = lambda _mirrored: None
    count_bytes: Callable[[int], None] = lambda _count: None


@dataclass(frozen=True, slots=True)
class Mirror:
    """Copies from one place to another."""

    source: Place
    target: Place
    progress: Progress = field(default_factory=Progress)

    async def copy_set(self, tag: str) -> list[Mirrored]:
        """Copy the set that `tag` names (`sha-1234567`, or a channel) with its images; the set comes last.

        Raises:
            NotFoundError: the source has no such set.
            RemoteError, IntegrityError, ConflictError: what was copied until then stays; repeating goes on from there.
        """
        found, source = await self._find(SETS_REPOSITORY, tag)
        copier, mirrored = await self._copy_images(found.artifacts)
        homes = {one.copied.digest: replace(one.target, tag="") for one in mirrored}
        target = self.target.repository(SETS_REPOSITORY).with_tag(found.tag)
        await copier.copy_index(source, target, homes)
        return mirrored

    async def copy_release(self, environment: str, release: ArtifactSet) -> list[Mirrored]:
        """Copy the images that an environment was released with, and say at the target which they were.

        Raises:
            ReleaseTakenError: the target has another release of this environment and commit; nothing was copied.
            RemoteError, IntegrityError, ConflictError: as `copy_set`.
        """
        index = format_set(release)
        releases = self.target.repository(RELEASES_REPOSITORY)
        lasting = releases.with_tag(f"{environment}-{release.commit[:7]}")
        await self._require_free(lasting, Digest.of(index))
        copier, mirrored = await self._copy_images(release.artifacts)
        homes = {one.copied.digest: replace(one.target, tag="") for one in mirrored}
        for target in (lasting, releases.with_tag(environment)):
            await copier.put_index(index, target, homes)
        return mirrored

    async def restore_release(self, environment: str) -> list[Mirrored]:
        """Copy back what `copy_release` left at the source. Raises NotFoundError, and as `copy_set`."""
        found, _ = await self._find(RELEASES_REPOSITORY, environment)
        _, mirrored = await self._copy_images(found.artifacts)
        return mirrored

    async def _require_free(self, target: Reference, digest: Digest) -> None:
        """Refuse to move a tag that stays: no registry but ours knows that it does. Raises ReleaseTakenError."""
        try:
            there = (await self.target.client.resolve(target)).digest
        except PullError as error:
            if error.cause is not PullCause.NOT_FOUND:
                raise
            return
        if there != digest:
            raise ReleaseTakenError(
                f"{target} cannot be moved (ReleaseTaken): it is {there}, and the release to be mirrored is {digest}",
                hint="mirror to another prefix; or, if that one is of no use any more, remove its tag there and repeat",
            )

    async def _copy_images(self, artifacts: Mapping[str, Artifact]) -> tuple[Copier, list[Mirrored]]:
        """One service after the other: the layers that they share are then mounted instead of sent."""
        copier = Copier(self.source.client, self.target.client, on_bytes=self.progress.count_bytes)
        mirrored = []
        for name, artifact in sorted(artifacts.items()):
            self.progress.begin(name)
            source = self.source.repository(name).with_digest(artifact.descriptor.digest)
            target = self.target.repository(name)
            if artifact.revision:
                target = target.with_tag(sha_tag(artifact.revision))
            mirrored.append(Mirrored(name, target, await copier.copy(source, target)))
            self.progress.end(mirrored[-1])
        return copier, mirrored

    async def _find(self, repository: str, tag: str) -> tuple[ArtifactSet, Reference]:
        reference = self.source.repository(repository).with_tag(tag)
        try:
            raw = await self.source.client.manifest(reference)
            return parse_set(raw.content, raw.media_type), reference.with_digest(raw.digest)
        except PullError as error:
            if error.cause is not PullCause.NOT_FOUND:
                raise
            hint = "`towpath history` lists what was published"
            raise NotFoundError(
                f"{reference} cannot be mirrored (NotFound): there is no such set", hint=hint
            ) from error
        except InvalidManifestError as error:
            raise CorruptContentError(f"{reference} cannot be mirrored (InvalidSet): {error.message}") from error
