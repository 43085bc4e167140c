"""A repository in memory behind `ci.ports.SourceTrees`: commits are made one by one, the branch is moved at will."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from towpath.blueprint.model import Blueprint, Service
from towpath.ci.ports import Snapshot
from towpath.errors import NotFoundError

REGISTRY = "127.0.0.1:7070/home"


@dataclass(frozen=True)
class FakeCommit:
    """`services` maps a service's name to the content of its only file; None means the directory is missing."""

    id: str
    parent: str
    services: Mapping[str, str | None]
    env: Mapping[str, str]
    broken: Exception | None


@dataclass
class MemorySourceTrees:
    """`calls` counts snapshots by commit."""

    commits: dict[str, FakeCommit] = field(default_factory=dict)
    head: str | None = None
    exported: list[tuple[str, str]] = field(default_factory=list)

    def commit(
        self,
        services: Mapping[str, str | None],
        *,
        parent: str | None = None,
        env: Mapping[str, str] | None = None,
        broken: Exception | None = None,
        commit: str = "",
    ) -> str:
        """Add a commit on top of the branch, or of `parent` (`""` for none), and move the branch to it."""
        before = (self.head or "") if parent is None else parent
        made = commit or hashlib.sha1(f"{len(self.commits)}{before}".encode(), usedforsecurity=False).hexdigest()
        self.commits[made] = FakeCommit(made, before, dict(services), dict(env or {}), broken)
        self.head = made
        return made

    async def newest(self) -> str | None:
        return self.head

    async def snapshot(self, commit: str) -> Snapshot:
        found = self._get(commit)
        if found.broken is not None:
            raise found.broken
        services = {
            name: Service(name, f"services/{name}", env=found.env, entrypoint=("python3", "/app/main.py"))
            for name in sorted(found.services)
        }
        trees = {name: _tree(content) for name, content in found.services.items()}
        return Snapshot(commit, 1_769_851_800.0, Blueprint("home", REGISTRY, services=services), trees)

    async def ancestors(self, commit: str) -> list[str]:
        found, ancestors = self._get(commit), []
        while found.parent:
            ancestors.append(found.parent)
            found = self._get(found.parent)
        return ancestors

    async def export(self, commit: str, path: str, destination: Path) -> None:
        name = path.rpartition("/")[2]
        content = self._get(commit).services[name]
        assert content is not None
        destination.mkdir(parents=True)
        (destination / "main.py").write_text(content)
        self.exported.append((commit, name))

    async def is_ancestor(self, ancestor: str, descendant: str) -> bool:
        return ancestor == descendant or ancestor in await self.ancestors(descendant)

    def _get(self, commit: str) -> FakeCommit:
        found = self.commits.get(commit)
        if found is None:
            raise NotFoundError(f"commit {commit} is not known (NotFound)")
        return found


def _tree(content: str | None) -> str | None:
    return hashlib.sha1(content.encode(), usedforsecurity=False).hexdigest() if content is not None else None
