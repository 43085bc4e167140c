"""One platform, wired: every part made with what it needs, started in order, closed in reverse.

    1. the repository and the registry are opened;
    2. the listener answers;
    3. the cluster runs what it ran before;
    4. the reconciler, CI and the origin take up what a restart left open, and `/healthz` says ready.

This is the only place that knows which adapter stands behind a port.
"""

import logging
import platform as machine
import re
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.routing import BaseRoute

from towpath import __version__
from towpath.aio.clock import Clock
from towpath.aio.tasks import Background
from towpath.blueprint.model import platform_name
from towpath.ci.runner import Runner
from towpath.errors import TowpathError
from towpath.http.hosts import split_port
from towpath.http.server import Listener
from towpath.observe.commits import Commits
from towpath.observe.metrics import Metrics
from towpath.observe.output import ServiceOutput
from towpath.observe.sources import Sources
from towpath.observe.timeline import Span, Timeline
from towpath.oci.platform import Platform as ImagePlatform
from towpath.ociclient.client import RegistryClient
from towpath.promote.preview import Preview
from towpath.promote.promotion import Desk
from towpath.reconcile.artifacts import ArtifactResolver
from towpath.reconcile.controller import Reconciler
from towpath.reconcile.desired import GitDesiredSource
from towpath.reconcile.trees import TreeStore
from towpath.render.kustomize import Renderer
from towpath.server.artifacts import Artifacts
from towpath.server.attested import TrustedAttestations
from towpath.server.attesting import make_services
from towpath.server.blueprints import Blueprints
from towpath.server.checkup import Checkup
from towpath.server.cirunner import make_runner
from towpath.server.clusters import make_cluster, reconcile_settings
from towpath.server.credentialfile import load_or_create
from towpath.server.delivery import Delivery
from towpath.server.encryption import prepare_encryption
from towpath.server.environments import Environments
from towpath.server.evidence import ReconciledRuntime
from towpath.server.identifiers import new_uid
from towpath.server.keeper import Keeper
from towpath.server.keeper_evidence import PlatformEvidence
from towpath.server.manner import choose_manner
from towpath.server.meter import ReconcileMeter, StageMeter
from towpath.server.origin import FollowedOrigin, HostedOrigin, Origin
from towpath.server.pullsecrets import WithPullSecrets
from towpath.server.registryaccess import RegistryAccess
from towpath.server.remotefile import make_upstream
from towpath.server.settings import Settings
from towpath.server.trees import RepositoryTrees
from towpath.server.upstreams import Upstreams
from towpath.source.repository import GitRepository
from towpath.web.answers import Guard
from towpath.web.api import PlatformApi
from towpath.web.health import Health
from towpath.web.keeper import KeeperApi

log = logging.getLogger(__name__)

UPKEEP_SECONDS = 86_400.0
PARTS = ("repository", "registry", "listener", "cluster", "reconciler", "ci", "origin")
# Two: the questions of one push come within one, and an idle platform keeps no git.
GIT_LINGER_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a running platform is reached."""

    url: str
    kube_url: str


class Platform:
    """A platform; `start` it once, `close` it once."""

    def __init__(self, settings: Settings, *, clock: Clock) -> None:
        """Make every part; nothing answers yet.

        Raises:
            TowpathError: stored state cannot be used.
            OSError: the disk refused.
        """
        self.name = name_of(settings)
        self._settings = settings
        self._clock = clock
        self._stack = AsyncExitStack()
        self._background = Background()
        self._health = Health(PARTS)
        self.encryption = prepare_encryption(settings, now=clock.now())
        self._trust = self.encryption.trust if self.encryption else None
        self._secrets = load_or_create(settings.state)
        self._metrics = Metrics(version=__version__)
        self._timeline = Timeline(settings.state / "state.db", clock=clock, on_stage=self._stage_passed)
        self._upstream = make_upstream(settings) if settings.remote else None
        self._repository = GitRepository(
            settings.state / "git" / f"{self.name}.git",
            branch=settings.branch,
            upstream=self._upstream,
            clock=clock,
            linger_seconds=GIT_LINGER_SECONDS,
        )
        self._blueprints = Blueprints(self._repository, default_name=self.name, address=settings.registry_host)
        self._artifacts = Artifacts(
            settings.state,
            host=settings.registry_host,
            credentials=self._secrets,
            clock=clock,
            manner=choose_manner(settings, trust=self._trust, at_the_end=self._stack.callback),
            upstreams=Upstreams(
                fill=settings.upstreams, mend=settings.mend_from, logins=settings.upstream_logins, clock=clock
            ),
        )
        self._metrics.read_registry(self._artifacts.counters.families)
        self._image_platform = ImagePlatform.of(os="linux", machine=machine.machine())
        self._trees = TreeStore(self._repository, settings.state / "trees")
        self._renderer = Renderer()
        self.cluster = make_cluster(
            settings, self._secrets, built_for=self._image_platform, trust=self._trust, clock=clock
        )
        self._pull_secrets = WithPullSecrets(self._make_source(), self._artifacts)
        self._reconciler = self._make_reconciler()
        self._registry_access = RegistryAccess(
            self._artifacts,
            self._pull_secrets,
            client=self.cluster.client,
            reconciler=self._reconciler,
            guard=Guard(self._secrets.admin_token),
            clock=clock,
        )
        self._stages = StageMeter(self._metrics, revision_of=lambda name: self._reconciler.status(name).revision)
        self._environments = Environments(
            branch=settings.branch,
            blueprints=self._blueprints,
            artifacts=self._artifacts,
            reconciler=self._reconciler,
        )
        self._ci = self._make_ci()
        self._delivery = Delivery(
            branch=settings.branch,
            environments=self._environments,
            ci=self._ci,
            reconciler=self._reconciler,
            timeline=self._timeline,
            metrics=self._metrics,
        )
        self._origin = self._make_origin()
        self._sources = self._make_sources()
        self._keeper = self._make_keeper()
        self.checkup = self._make_checkup()
        self._listener = self._make_listener()

    async def start(self) -> Endpoints:
        """Start everything; a push is accepted when this returns.

        Raises:
            ListenError: a port is taken.
            TowpathError: stored state cannot be used.
        """
        # Both were opened when they were made, so they are closed however far the start gets.
        self._stack.callback(self._timeline.close)
        self._stack.callback(self.cluster.release)
        await self._start("repository", self._repository.init, self._repository.close)
        await self._start("registry", self._artifacts.start, self._artifacts.close)
        await self._start("listener", self._listener.start, self._listener.close)
        await self._follow_what_can_be_read()
        # Pushed first: what had started when a later part of it failed is stopped as well.
        self._stack.push_async_callback(self.cluster.close)
        await self._start("cluster", lambda: self.cluster.start(name=self.name))
        await self._start("reconciler", self._reconciler.start, self._reconciler.close)
        await self._start("ci", self._ci.start, self._ci.close)
        await self._start("origin", self._origin.start, self._origin.close)
        self._background.run_forever("daily upkeep", self._upkeep)
        self._background.run_forever("pull secret rotation", self._registry_access.run)
        self._background.run_forever("registry keeper", self._keeper.run)
        self._stack.push_async_callback(self._keeper.close)
        self._stack.push_async_callback(self._background.close)
        return Endpoints(self._listener.url, self.cluster.facts.url)

    async def close(self) -> None:
        """Stop everything, the newest part first."""
        self._health.stopping()
        await self._stack.aclose()

    async def _start(
        self, part: str, start: Callable[[], Awaitable[object]], close: Callable[[], Awaitable[object]] | None = None
    ) -> None:
        await start()
        if close is not None:
            self._stack.push_async_callback(close)
        self._health.ready(part)

    async def _upkeep(self) -> None:
        while True:
            await self._clock.sleep(UPKEEP_SECONDS)
            await self._repository.maintain()
            prepare_encryption(self._settings, now=self._clock.now())  # renews a certificate of our own in time

    def _make_listener(self) -> Listener:
        return Listener(
            Starlette(routes=self._routes()),
            host=self._settings.host,
            port=self._settings.port,
            certificate=self.encryption.certificate if self.encryption else None,
            key=self.encryption.key if self.encryption else None,
            hosts=[split_port(self._settings.registry_host)],
            clock=self._clock,
        )

    def _make_source(self) -> GitDesiredSource:
        return GitDesiredSource(
            self._repository,
            self._blueprints.at,
            branch=self._settings.branch,
            trees=self._trees,
            renderer=self._renderer,
            resolver=ArtifactResolver(self._artifacts.client(), platform=self._image_platform),
        )

    def _make_reconciler(self) -> Reconciler:
        return Reconciler(
            self.cluster.client,
            self._pull_secrets,
            [],
            clock=self._clock,
            new_uid=new_uid,
            notes=self._repository,
            recorder=self._timeline,
            meter=ReconcileMeter(self._metrics),
            settings=reconcile_settings(self._settings),
        )

    def _make_ci(self) -> Runner:
        client = self._artifacts.client()
        services = make_services(
            self._settings.state,
            client,
            clock=self._clock,
            platform=self._image_platform,
            source_url=self._settings.remote or f"{self._settings.url}/git/{self.name}.git",
        )
        return make_runner(
            self._settings,
            RepositoryTrees(self._repository, self._blueprints, branch=self._settings.branch),
            services,
            client,
            recorder=self._timeline,
            clock=self._clock,
            on_report=lambda report: self._delivery.built(report),  # noqa: PLW0108 - the delivery is made after CI
        )

    def _make_origin(self) -> Origin:
        common = (self.name, self._repository, self._delivery)
        if self._upstream is None:
            hosted = HostedOrigin(*common, credentials=self._secrets, clock=self._clock, new_uid=new_uid)
            self._metrics.read_deliveries(hosted.received)
            return hosted
        poll = self._settings.poll_seconds
        followed = FollowedOrigin(
            *common, self._upstream, credentials=self._secrets, clock=self._clock, poll_seconds=poll
        )
        self._metrics.read_deliveries(followed.received)
        self._metrics.read_remote(lambda: followed.status.last_success_at, lambda: followed.status.failures)
        return followed

    def _routes(self) -> list[BaseRoute]:
        return [
            self._health.route(),
            *self._make_api().routes(),
            *self._registry_access.routes(),
            *KeeperApi(Guard(self._secrets.admin_token), self._keeper).routes(),
            *self._origin.routes(),
            *self._artifacts.routes(self._delivery.channel_moved),
        ]

    def _make_sources(self) -> Sources:
        return Sources(
            name=self.name,
            branch=self._settings.branch,
            repository=self._repository,
            blueprint_at=self._blueprints.at,
            ci=self._ci,
            reconciler=self._reconciler,
            client=self.cluster.client,
            timeline=self._timeline,
            clock=self._clock,
            commits=Commits(self._repository),
            find_remote=self._origin.find_status,
            whole_cluster=self.cluster.facts.is_ours,
        )

    def _make_keeper(self) -> Keeper:
        return Keeper(
            self._artifacts.registry,
            PlatformEvidence(self._sources, serves=self._artifacts.serves),
            blueprint=self._sources.blueprint,
            clock=self._clock,
            find_upstream=self._artifacts.upstreams.find_mender,
        )

    def _make_checkup(self) -> Checkup:
        return Checkup(
            sources=self._sources,
            cluster=self.cluster,
            artifacts=self._artifacts,
            registry_access=self._registry_access,
            keeper=self._keeper,
            encryption=self.encryption,
            pull_secrets=self._pull_secrets,
            outside=self._settings.outside,
            clock=self._clock,
        )

    def _make_api(self) -> PlatformApi:
        sources, client, nodes = self._sources, self._artifacts.client(), self._image_platform
        runtime = ReconciledRuntime(self._reconciler)
        desk = Desk(
            repository=self._repository,
            history=self._repository,
            blueprint=self._blueprints.at,
            artifacts=client,
            artifacts_of=self._artifacts_of,
            runtime=runtime,
            preview=Preview(self._repository, self._renderer),
            platform=nodes,
            clock=self._clock,
            announce=self._origin.announce,
            branch=self._settings.branch,
            attestations=TrustedAttestations(self._settings.state, client, nodes, self._repository.find_commit),
        )
        return PlatformApi(
            sources=sources,
            control=self._reconciler,
            desk=desk,
            past=runtime,
            metrics=self._metrics,
            output=ServiceOutput(sources, self.cluster.logs),
            guard=Guard(self._secrets.admin_token),
            examine=self.checkup.examine,
        )

    async def _artifacts_of(self, environment: str) -> RegistryClient:
        await self._pull_secrets.follow(environment)
        return self._artifacts.client_of(environment)

    def _stage_passed(self, commit: str, span: Span) -> None:
        self._stages.passed(commit, span)

    async def _follow_what_can_be_read(self) -> None:
        try:
            await self._environments.follow()
        except TowpathError as error:
            log.warning("blueprint at the head of %s: %s", self._settings.branch, error.message)


def name_of(settings: Settings) -> str:
    """A platform's name: its repository's, which is that of the directory where it is hosted here."""
    outside = re.split("[/:]", settings.remote.rstrip("/").removesuffix(".git"))[-1]
    return platform_name(outside or settings.root.name)
