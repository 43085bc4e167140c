"""The repository as CI reads it: `ci.ports.SourceTrees` over Git."""

from pathlib import Path

from towpath.ci.ports import Snapshot
from towpath.server.blueprints import Blueprints
from towpath.source.repository import GitRepository

ANCESTORS = 100


class RepositoryTrees:
    """`ci.ports.SourceTrees` over a repository's branch."""

    def __init__(self, repository: GitRepository, blueprints: Blueprints, *, branch: str) -> None:
        self._repository = repository
        self._blueprints = blueprints
        self._branch = branch

    async def newest(self) -> str | None:
        """The commit the branch is at."""
        return await self._repository.find_commit(f"refs/heads/{self._branch}")

    async def snapshot(self, commit: str) -> Snapshot:
        """A commit as CI reads it."""
        blueprint = await self._blueprints.at(commit)
        committed_at = await self._repository.committed_at(commit)
        ids = await self._repository.tree_ids(commit, [service.path for service in blueprint.services.values()])
        trees = {name: ids[service.path] for name, service in blueprint.services.items()}
        return Snapshot(commit, committed_at, blueprint, trees)

    async def ancestors(self, commit: str) -> list[str]:
        """The commits it contains, newest first."""
        return [one.id for one in await self._repository.log(commit, limit=ANCESTORS + 1) if one.id != commit]

    async def export(self, commit: str, path: str, destination: Path) -> None:
        """Write a directory of a commit."""
        await self._repository.export(commit, path, destination)

    async def is_ancestor(self, ancestor: str, descendant: str) -> bool:
        """Whether one commit is contained in another."""
        return await self._repository.is_ancestor(ancestor, descendant)
