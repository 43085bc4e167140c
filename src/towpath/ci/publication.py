"""Publishes the set of a commit all or nothing, and rolls an interrupted publication forward.

1. Every image is in the registry by digest (that is the builder's doing) and is read back.
2. The set's index is put under `sets:sha-<7>`: the commit point. Before it nothing can be found by a tag; after it the
   rest can be repeated by anyone who reads the set, and is, at every start and every run for that commit.
3. Each service's image gets the tag `sha-<7>`.
4. The channel: each service's image gets the channel tag, then the set itself, which marks the move as complete.

`sha-` tags are never overwritten, also in registries that would let us: two commits with the same first seven digits
are an error for the second one. Who may take the channel is the caller's decision; moves are made one at a time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

from towpath.blueprint.model import Blueprint, Service
from towpath.ci.batch import repository_of
from towpath.ci.plan import fingerprint
from towpath.ci.ports import ArtifactStore, Snapshot
from towpath.ci.sets import SETS_REPOSITORY, Artifact, ArtifactSet, format_set, parse_set
from towpath.errors import ConflictError, RemoteError
from towpath.oci import media
from towpath.oci.annotations import REVISION, TREE
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.manifest import InvalidManifestError, RawManifest, parse_manifest
from towpath.oci.reference import Reference
from towpath.oci.tags import sha_tag
from towpath.ociclient.errors import PullCause, PullError

# Asked with the commit that the channel is at (None: nowhere yet), when the move is about to be made.
MayTakeChannel = Callable[[str | None], Awaitable[bool]]


class TagCollisionError(ConflictError):
    """The tag of a commit already names something else."""


class ArtifactsLostError(RemoteError):
    """Images that a set needs are not in the registry."""

    def __init__(self, services: Iterable[str]) -> None:
        self.services = tuple(sorted(services))
        super().__init__(
            f"images of {', '.join(self.services)} are not in the registry (ArtifactsLost): the set needs them",
            hint="they are built again with the next commit that touches the services",
        )


class Publication:
    """Publishes to one registry."""

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store
        self._channel_lock = asyncio.Lock()

    async def find_set(self, blueprint: Blueprint, commit: str) -> ArtifactSet | None:
        """The set of a commit, if it was published.

        Raises:
            TagCollisionError: the tag is taken by the set of another commit.
            PullError: the registry cannot be asked.
        """
        raw = await self._find_told(_sets(blueprint).with_tag(sha_tag(commit)))
        found = parse_set(raw.content, raw.media_type) if raw else None
        if found is not None and found.commit != commit:
            raise _collision(commit, found.commit)
        return found

    async def find_channel(self, blueprint: Blueprint) -> ArtifactSet | None:
        """The set that the channel is at, if it is anywhere. Raises PullError."""
        raw = await self._find_manifest(_sets(blueprint).with_tag(blueprint.channel))
        return parse_set(raw.content, raw.media_type) if raw else None

    async def publish(self, blueprint: Blueprint, artifact_set: ArtifactSet) -> None:
        """Make the set and its artifact tags; repeating it changes nothing.

        Raises:
            ArtifactsLostError: images of the set are not there; nothing was published.
            TagCollisionError: a tag of this commit names something else.
            RemoteError: the registry failed; repeat.
        """
        images = await self._read_images(blueprint, artifact_set)
        if await self.find_set(blueprint, artifact_set.commit) is None:
            target = _sets(blueprint).with_tag(artifact_set.tag)
            await self._store.push_manifest(target, format_set(artifact_set), media.OCI_INDEX)
        await _run_all(
            self._tag_artifact(repository_of(blueprint, name).with_tag(artifact_set.tag), raw)
            for name, raw in images.items()
        )

    async def take_channel(self, blueprint: Blueprint, artifact_set: ArtifactSet, may_take: MayTakeChannel) -> bool:
        """Move the channel to a published set; whether it is there in the end.

        Raises:
            ArtifactsLostError: images of the set are not there; the channel was not touched.
            RemoteError: the registry failed; repeat.
        """
        async with self._channel_lock:
            current = await self.find_channel(blueprint)
            if not await may_take(current.commit if current else None):
                return False
            if current == artifact_set:
                return True
            images = await self._read_images(blueprint, artifact_set)
            await _run_all(
                self._move_tag(repository_of(blueprint, name).with_tag(blueprint.channel), raw)
                for name, raw in images.items()
            )
            target = _sets(blueprint).with_tag(blueprint.channel)
            await self._store.push_manifest(target, format_set(artifact_set), media.OCI_INDEX)
            return True

    async def find_tagged(self, snapshot: Snapshot) -> list[Artifact]:
        """Images that are published under the commit's tag already, and say that they are of this commit and tree.

        Raises:
            PullError: the registry cannot be asked.
        """
        blueprint, tag = snapshot.blueprint, sha_tag(snapshot.commit)

        async def find(service: Service) -> Artifact | None:
            tree_id = snapshot.trees.get(service.name) or ""
            raw = await self._find_told(repository_of(blueprint, service.name).with_tag(tag))
            try:
                told = parse_manifest(raw.content, raw.media_type).annotations if raw else {}
            except InvalidManifestError:
                return None
            if raw is None or (told.get(REVISION), told.get(TREE)) != (snapshot.commit, tree_id):
                return None
            descriptor = Descriptor(raw.media_type, raw.digest, len(raw.content))
            return Artifact(service.name, descriptor, snapshot.commit, tree_id, fingerprint(service))

        found = await asyncio.gather(*(find(service) for service in blueprint.services.values()))
        return [artifact for artifact in found if artifact is not None]

    async def find_lost(self, blueprint: Blueprint, digests: Iterable[tuple[str, Digest]]) -> list[str]:
        """Those of the services (name and image) whose image the registry does not have. Raises PullError."""
        wanted = list(digests)
        found = await asyncio.gather(
            *(self._find(repository_of(blueprint, name).with_digest(digest)) for name, digest in wanted)
        )
        return [name for (name, _), digest in zip(wanted, found, strict=True) if digest is None]

    async def _read_images(self, blueprint: Blueprint, artifact_set: ArtifactSet) -> dict[str, RawManifest]:
        images: dict[str, RawManifest] = {}
        lost: list[str] = []

        async def read(name: str, digest: Digest) -> None:
            raw = await self._find_manifest(repository_of(blueprint, name).with_digest(digest))
            if raw is None:
                lost.append(name)
            else:
                images[name] = raw

        await _run_all(read(name, artifact.descriptor.digest) for name, artifact in artifact_set.artifacts.items())
        if lost:
            raise ArtifactsLostError(lost)
        return images

    async def _tag_artifact(self, target: Reference, raw: RawManifest) -> None:
        present = await self._find(target)
        if present is not None and present != raw.digest:
            raise TagCollisionError(
                f"tag {target} is taken (TagCollision): it names {present}, this commit's image is {raw.digest}",
                hint="an artifact tag never moves: find out who pushed it, or push an amended commit",
            )
        if present is None:
            await self._store.push_manifest(target, raw.content, raw.media_type)

    async def _move_tag(self, target: Reference, raw: RawManifest) -> None:
        if await self._find(target) != raw.digest:
            await self._store.push_manifest(target, raw.content, raw.media_type)

    async def _find_told(self, reference: Reference) -> RawManifest | None:
        """A manifest under an artifact tag; a refusal counts as none, for the repository may not exist yet."""
        try:
            return await self._store.manifest(reference)
        except PullError as error:
            if not error.may_be_absent:
                raise
            return None

    async def _find(self, reference: Reference) -> Digest | None:
        try:
            return (await self._store.resolve(reference)).digest
        except PullError as error:
            if error.cause is not PullCause.NOT_FOUND:
                raise
            return None

    async def _find_manifest(self, reference: Reference) -> RawManifest | None:
        try:
            return await self._store.manifest(reference)
        except PullError as error:
            if error.cause is not PullCause.NOT_FOUND:
                raise
            return None


def _sets(blueprint: Blueprint) -> Reference:
    return repository_of(blueprint, SETS_REPOSITORY)


def _collision(commit: str, other: str) -> TagCollisionError:
    return TagCollisionError(
        f"commit {commit} cannot be published (TagCollision): tag {sha_tag(commit)} is the set of {other}",
        hint="amend the commit, so that it gets another id, and push again",
    )


async def _run_all(steps: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run all to their end, then raise the first failure: a half-done round is repeated whole."""
    results = await asyncio.gather(*steps, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
