"""What observation looks at, under a test's hand: real Git and stamps, a table of applications, builds and objects."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from fakes.promotion_world import World, make_world
from towpath.ci.report import CiReport
from towpath.errors import NotFoundError
from towpath.kube.errors import ApiNotFoundError
from towpath.kube.health import Health
from towpath.kube.objects import GVK, Object, gvk_of, name_of, namespace_of
from towpath.kube.requests import ObjectList, WatchEvent
from towpath.observe.commits import Commits
from towpath.observe.sources import Sources
from towpath.observe.timeline import Timeline
from towpath.reconcile.artifacts import Artifact
from towpath.reconcile.health import PodFacts
from towpath.reconcile.status import ApplicationStatus, ServiceStatus, Sync
from towpath.reconcile.verdicts import Observation, Verdicts
from towpath.source.remote import RemoteStatus


@dataclass
class FakeBuilds:
    """Satisfies `observe.sources.Builds`."""

    all: list[CiReport] = field(default_factory=list)

    def find_report(self, commit: str) -> CiReport | None:
        """The last report of a commit."""
        return next((report for report in self.all if report.commit == commit), None)

    def reports(self, limit: int = 50) -> list[CiReport]:
        """The newest reports."""
        return self.all[:limit]


@dataclass
class FakeApplications:
    """Satisfies `observe.sources.Applications`."""

    verdicts: Verdicts
    statuses: dict[str, ApplicationStatus] = field(default_factory=dict)

    @property
    def environments(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self.statuses)

    def status(self, environment: str) -> ApplicationStatus:
        """One of them."""
        if environment not in self.statuses:
            raise NotFoundError(f"environment {environment} is not known (NotFound)")
        return self.statuses[environment]


@dataclass
class FakeReader:
    """Satisfies `reconcile.ports.ResourceReader`."""

    objects: list[Object] = field(default_factory=list)

    async def get(self, gvk: GVK, name: str, namespace: str = "") -> Object:
        """One object."""
        for obj in (await self.list(gvk, namespace)).items:
            if name_of(obj) == name:
                return obj
        raise ApiNotFoundError(f'{gvk.kind} "{name}" not found')

    async def list(self, gvk: GVK, namespace: str = "", *, labels: str = "", fields: str = "") -> ObjectList:
        """All of a kind."""
        del labels, fields
        found = [obj for obj in self.objects if gvk_of(obj) == gvk and namespace in ("", namespace_of(obj))]
        return ObjectList(found, "1")

    def watch(
        self, gvk: GVK, namespace: str = "", *, labels: str = "", fields: str = "", resource_version: str = ""
    ) -> AsyncIterator[WatchEvent]:
        """Nobody who observes watches."""
        raise NotImplementedError


class Observed:
    """A platform to look at; an asynchronous context manager."""

    def __init__(self, world: World, directory: Path) -> None:
        self.world = world
        self.clock = world.clock
        self.repository = world.repository
        self.builds = FakeBuilds()
        self.verdicts = Verdicts(world.repository, clock=world.clock)
        self.applications = FakeApplications(self.verdicts)
        self.cluster = FakeReader()
        self.timeline = Timeline(directory / "state.db", clock=world.clock)
        self.remote: RemoteStatus | None = None
        self.sources = Sources(
            name="home",
            branch="main",
            repository=world.repository,
            blueprint_at=world.blueprint,
            ci=self.builds,
            reconciler=self.applications,
            client=self.cluster,
            timeline=self.timeline,
            clock=world.clock,
            commits=Commits(world.repository),
            find_remote=lambda: self.remote,
        )
        for name in ("dev", "prod"):
            self.applications.statuses[name] = ApplicationStatus(
                name, sync=Sync.SYNCED, sync_message="", health=Health.HEALTHY
            )

    @classmethod
    async def open(cls, directory: Path) -> "Observed":
        """A platform whose repository has one commit, with nothing built."""
        return cls(await make_world(directory), directory)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.timeline.close()
        await self.repository.close()

    def change(self, environment: str, **fields: object) -> None:
        """Another status of an application."""
        before = self.applications.statuses[environment]
        self.applications.statuses[environment] = replace(before, **fields)  # type: ignore[arg-type]

    async def run(
        self,
        environment: str,
        commit: str,
        *,
        tag: str = "canary",
        digest: str = "",
        health: Health = Health.HEALTHY,
        message: str = "",
        pods: Iterable[PodFacts] | None = None,
    ) -> Artifact:
        """Let an environment run the sensor as a commit built it, and judge it."""
        digest = digest or f"sha256:{commit[:1] * 64}"
        channel = "" if tag.startswith("sha-") else tag
        artifact = Artifact("sensor", f"registry/sensor:{tag}@{digest}", tag, digest, commit, channel)
        is_healthy = health is Health.HEALTHY
        seen = Observation(
            environment,
            "sensor",
            digest,
            tag,
            commit,
            self.clock.now() if is_healthy else None,
            health is Health.DEGRADED,
            message,
        )
        self.verdicts.observe(seen, commit=commit)
        await self.verdicts.flush()
        facts = tuple(pods) if pods is not None else (PodFacts(1, 1, ((digest, 1),)),)
        verdict = self.verdicts.find(environment, "sensor", digest)
        service = ServiceStatus("sensor", artifact, health, message, facts, verdict)
        self.change(environment, services={"sensor": service}, revision=commit, health=health)
        return artifact
