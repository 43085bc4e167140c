"""Where observation looks: the parts of a running platform, gathered for the views beside this module."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from towpath.aio.clock import Clock
from towpath.blueprint.model import Blueprint
from towpath.ci.report import CiReport
from towpath.observe.commits import Commits
from towpath.observe.timeline import Timeline
from towpath.reconcile.ports import ResourceReader
from towpath.reconcile.status import ApplicationStatus
from towpath.reconcile.verdicts import Verdicts
from towpath.source.commits import Commit
from towpath.source.remote import RemoteStatus
from towpath.source.repository import GitRepository


class Builds(Protocol):
    """What CI did."""

    def find_report(self, commit: str) -> CiReport | None:
        """The last report of a commit."""
        ...

    def reports(self, limit: int = 50) -> list[CiReport]:
        """The newest reports, newest first."""
        ...


class Applications(Protocol):
    """What the reconciler knows."""

    @property
    def environments(self) -> tuple[str, ...]:
        """The names of all applications."""
        ...

    @property
    def verdicts(self) -> Verdicts:
        """The fate of releases."""
        ...

    def status(self, environment: str) -> ApplicationStatus:
        """How an application stands. Raises NotFoundError."""
        ...


@dataclass(frozen=True, slots=True)
class Sources:
    """The parts of one platform.

    Attributes:
        name: the platform's.
        branch: the branch that is followed.
        repository: the platform repository.
        blueprint_at: the blueprint of a commit.
        ci: builds.
        reconciler: applications.
        client: the cluster, read only.
        timeline: stamps.
        clock: the time.
        commits: what commits say; they never change.
        find_remote: how following an outside repository goes; None where none is followed.
        whole_cluster: whether the cluster is the platform's alone, so that all that happens there is of interest.
    """

    name: str
    branch: str
    repository: GitRepository
    blueprint_at: Callable[[str], Awaitable[Blueprint]]
    ci: Builds
    reconciler: Applications
    client: ResourceReader
    timeline: Timeline
    clock: Clock
    commits: Commits
    find_remote: Callable[[], RemoteStatus | None] = lambda: None
    whole_cluster: bool = True

    @property
    def verdicts(self) -> Verdicts:
        """The fate of releases."""
        return self.reconciler.verdicts

    async def head(self) -> Commit | None:
        """The branch's newest commit; None while it is unborn."""
        commit = await self.repository.find_commit(f"refs/heads/{self.branch}")
        return None if commit is None else await self.commits.get(commit)

    async def blueprint(self) -> Blueprint | None:
        """The blueprint at the head; None while the branch is unborn. Raises BlueprintError."""
        head = await self.repository.find_commit(f"refs/heads/{self.branch}")
        return None if head is None else await self.blueprint_at(head)

    async def find_commit(self, revision: str) -> Commit | None:
        """A commit by id, branch or other name; None when this repository does not have it."""
        if revision in self.commits:
            return await self.commits.get(revision)
        found = await self.repository.find_commit(revision) if revision else None
        return None if found is None else await self.commits.get(found)

    def status_of(self, environment: str) -> ApplicationStatus:
        """How an environment stands; one that the blueprint has had for a moment only is not reconciled yet."""
        if environment in self.reconciler.environments:
            return self.reconciler.status(environment)
        return ApplicationStatus(environment)

    def environments(self, blueprint: Blueprint) -> list[str]:
        """Those of the blueprint, then those that it has dropped and that are still looked after."""
        dropped = [name for name in self.reconciler.environments if name not in blueprint.environments]
        return [*blueprint.environments, *dropped]

    def namespaces_of(self, environment: str) -> list[str]:
        """The namespaces that an environment's objects are in; one of its own name before the first reconciliation.

        Raises:
            NotFoundError: no such environment.
        """
        resources = self.reconciler.status(environment).resources
        return sorted({resource.key.namespace for resource in resources} - {""}) or [environment]

    def age(self, moment: float | None) -> float | None:
        """Seconds since a moment of wall time."""
        return None if moment is None else max(self.clock.now() - moment, 0.0)
