"""Who may use the registry of a platform, joined: pull secrets and their rotation, robots, and the API for both."""

from starlette.routing import BaseRoute

from towpath.aio.clock import Clock
from towpath.errors import TowpathError
from towpath.reconcile.controller import Reconciler
from towpath.reconcile.ports import ResourceReader
from towpath.server.accesschecks import judge_pull_secrets, judge_robots
from towpath.server.artifacts import Artifacts
from towpath.server.doctor import PROBLEM, Check
from towpath.server.pullsecrets import WithPullSecrets
from towpath.server.rotation import Rotation
from towpath.web.accounts import AccountsApi
from towpath.web.answers import Guard


class RegistryAccess:
    """The people's side of the registry's accounts."""

    def __init__(
        self,
        artifacts: Artifacts,
        pull_secrets: WithPullSecrets,
        *,
        client: ResourceReader,
        reconciler: Reconciler,
        guard: Guard,
        clock: Clock,
    ) -> None:
        """Join the parts; nothing happens before `run`."""
        self._artifacts = artifacts
        self._clock = clock
        last_used = artifacts.accounts.last_used
        self._rotation = Rotation(
            artifacts.pull_accounts,
            pull_secrets,
            client,
            reconcile=reconciler.trigger,
            last_used=last_used,
            clock=clock,
        )
        self._api = AccountsApi(
            guard=guard,
            robots=artifacts.robots,
            last_used=last_used,
            pull_secrets=self._rotation,
            registry=artifacts.host,
            clock=clock,
        )
        reconciler.on_change(pull_secrets.settled)

    async def run(self) -> None:
        """See rotations to their end, for ever."""
        await self._rotation.run()

    async def examine(self) -> list[Check]:
        """What `doctor` says of it."""
        try:
            robots = judge_robots(self._artifacts.robots.list(), now=self._clock.now())
        except TowpathError as error:
            robots = [Check("robot accounts", PROBLEM, error.message, error.hint)]
        return [*robots, *judge_pull_secrets(await self._rotation.describe())]

    def routes(self) -> list[BaseRoute]:
        """The routes, to be mounted at the root."""
        return [*self._api.routes()]
