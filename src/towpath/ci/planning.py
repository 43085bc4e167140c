"""Asks the registry what a commit's set can take over, and has `plan` decide.

1. Images that are published under this commit's tag: by hand, or by another CI. They are the commit's images, for an
   artifact tag never moves.
2. The sets of the nearest ancestors.
3. A carried image that is gone from the registry is built again.
"""

import asyncio

from towpath.ci.plan import SetPlan, plan_rebuild, plan_set
from towpath.ci.ports import Snapshot, SourceTrees
from towpath.ci.publication import Publication, TagCollisionError
from towpath.ci.sets import Artifact, ArtifactSet
from towpath.errors import UserError

# Eight: a revert finds the image it goes back to, and a push of a few commits the set below them, in one round.
_ASKED_AT_ONCE = 8
_LOST = "its image is gone from the registry"


class Planner:
    """Plans the sets of one repository's commits."""

    def __init__(self, source: SourceTrees, publication: Publication) -> None:
        self._source = source
        self._publication = publication

    async def plan(self, snapshot: Snapshot) -> SetPlan:
        """Decide what the set of a commit needs, and which images it has already.

        Raises:
            UserError: the commit lacks a service's directory.
            PullError: the registry cannot be asked.
        """
        blueprint = snapshot.blueprint
        published, known = await asyncio.gather(self._publication.find_tagged(snapshot), self._known(snapshot))
        plan = plan_set(blueprint.services, snapshot.trees, [*published, *known])
        if plan.missing:
            names = ", ".join(f"{service.name} ({service.path})" for service in plan.missing)
            raise UserError(
                f"commit {snapshot.commit} cannot be built (ServiceMissing): it has no directory for {names}",
                hint="add the directory, or remove the service from towpath.yaml",
            )
        images = [(artifact.service, artifact.descriptor.digest) for artifact in plan.carried]
        lost = await self._publication.find_lost(blueprint, images)
        return plan_rebuild(plan, blueprint.services, lost, reason=_LOST) if lost else plan

    async def _known(self, snapshot: Snapshot) -> list[Artifact]:
        """The images of the nearest ancestors' sets, nearest first."""
        sets: list[ArtifactSet] = []
        ancestors = await self._source.ancestors(snapshot.commit)
        for start in range(0, len(ancestors), _ASKED_AT_ONCE):
            batch = ancestors[start : start + _ASKED_AT_ONCE]
            found = await asyncio.gather(*(self._find_ancestor_set(snapshot, ancestor) for ancestor in batch))
            sets += [artifact_set for artifact_set in found if artifact_set is not None]
            if sets:
                break
        return [artifact for artifact_set in sets for artifact in artifact_set.artifacts.values()]

    async def _find_ancestor_set(self, snapshot: Snapshot, ancestor: str) -> ArtifactSet | None:
        try:
            return await self._publication.find_set(snapshot.blueprint, ancestor)
        except (UserError, TagCollisionError):
            return None  # a foreign or unreadable set is no help, and no harm
