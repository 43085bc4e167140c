"""Sees to it that a set takes over no unsigned image once there is a key.

1. An image that the key has signed is taken as it is; so is an index of several platforms, whose images are signed
   where they are pushed. Without a key nothing is asked.
2. Any other one is made again as the commit that it names made it: from what this machine remembers, or, for the very
   commit that is published, from its files. Only when that gives the same digest is it signed, for what it is made of
   is not known otherwise.
3. What is left is for the caller: an ancestor's image can be built anew for this commit, one of this commit cannot,
   because its tag never moves.
"""

import asyncio
import logging
from collections.abc import Iterable
from pathlib import Path

from towpath.ci.batch import repository_of
from towpath.ci.ports import BuildJob, ImageBuilder, PendingImage, Snapshot, SourceTrees
from towpath.ci.sets import Artifact
from towpath.errors import TowpathError
from towpath.oci import media
from towpath.oci.tags import sha_tag

log = logging.getLogger(__name__)


class Signing:
    """Signs what is in a registry already."""

    def __init__(self, builder: ImageBuilder, source: SourceTrees, *, workdir: Path) -> None:
        """Set up; directories are exported below `workdir`, which is the caller's to remove."""
        self._builder = builder
        self._source = source
        self._workdir = workdir

    async def find_unsigned(self, snapshot: Snapshot, artifacts: Iterable[Artifact]) -> list[Artifact]:
        """Sign what can be signed of a set's images; those that are left.

        Raises:
            UserError: the key cannot be used.
            RemoteError: the registry cannot be reached, or failed.
        """
        known = list(artifacts)
        signed = await asyncio.gather(*(self._ensure(snapshot, artifact) for artifact in known))
        return [artifact for artifact, done in zip(known, signed, strict=True) if not done]

    async def _ensure(self, snapshot: Snapshot, artifact: Artifact) -> bool:
        if artifact.descriptor.media_type != media.OCI_MANIFEST:
            return True
        repository = repository_of(snapshot.blueprint, artifact.service)
        if await self._builder.is_signed(repository.with_digest(artifact.descriptor.digest)):
            return True
        try:
            image = await self._make_again(snapshot, artifact)
        except TowpathError as error:
            log.warning("image of %s at %s was not made again: %s", artifact.service, artifact.revision, error)
            return False
        if image is None or image.descriptor.digest != artifact.descriptor.digest:
            return False
        await self._builder.sign(image, repository)
        return True

    async def _make_again(self, snapshot: Snapshot, artifact: Artifact) -> PendingImage | None:
        of_this = artifact.revision == snapshot.commit
        origin = snapshot if of_this else await self._source.snapshot(artifact.revision)
        service = origin.blueprint.services.get(artifact.service)
        if service is None or origin.trees.get(artifact.service) != artifact.tree_id:
            return None
        job = BuildJob(
            service=service,
            context=self._workdir / ".signing" / artifact.service,
            commit=origin.commit,
            tree_id=artifact.tree_id,
            committed_at=origin.committed_at,
            tag=sha_tag(origin.commit),
            source=origin.blueprint.source,
        )
        found = await self._builder.find(job)
        if found is not None or not of_this:
            return found
        await asyncio.to_thread(job.context.parent.mkdir, parents=True, exist_ok=True)
        await self._source.export(origin.commit, service.path, job.context)
        return await self._builder.build(job)
