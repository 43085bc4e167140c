"""The embedded registry with its accounts, and clients that see it with one account's eyes.

The platform's own account may do everything; each environment's may pull what its overlay pins and nothing else; robots
are the user's. All secrets that are made here are random and 256 bits long, so their hashes need no stretching (0.2 s
each at start).
"""

import os
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from starlette.routing import BaseRoute

from towpath.aio.clock import Clock
from towpath.http.credentials import SecretChecker, hash_secret
from towpath.oci.challenge import PULL
from towpath.oci.keyring import Credential, Keyring, format_docker_config
from towpath.ociclient.client import RegistryClient
from towpath.registry.accounts import Account, Accounts, Grant, StoredSecret
from towpath.registry.app import create_registry_app
from towpath.registry.counters import Counters
from towpath.registry.notifications import Notifier
from towpath.registry.protocol.exchange import PushEvent
from towpath.registry.robots import RobotFile
from towpath.registry.service import Registry
from towpath.registry.tokens import TokenSettings
from towpath.server.credentials import ADMIN, Credentials
from towpath.server.manner import Manner
from towpath.server.notifying import open_notifier
from towpath.server.pullaccounts import PullAccount, PullAccounts
from towpath.server.upstreams import Upstreams

ROUNDS_FOR_RANDOM_SECRETS = 1


class Artifacts:
    """The registry side of one platform."""

    def __init__(
        self,
        state: Path,
        *,
        host: str,
        credentials: Credentials,
        clock: Clock,
        manner: Manner | None = None,
        upstreams: Upstreams | None = None,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            state: the platform's state directory; the images are in `registry` below it.
            host: where the registry is reached, as manifests name it: `127.0.0.1:7070`.
            credentials: the platform's secrets.
            clock: the time.
            manner: how it meets its clients.
            upstreams: where it is filled and mended from.

        Raises:
            UserError: the pull accounts cannot be read.
        """
        self.host = host
        self._manner = manner or Manner()
        self._clock = clock
        self._credentials = credentials
        self.upstreams = upstreams or Upstreams(clock=clock)
        self._root = state / "registry"
        self.registry = Registry(self._root, clock=clock, upstreams=self.upstreams.filling)
        self.counters = Counters(read_holdings=self.registry.count_holdings)
        self.robots = RobotFile(self._root)
        self.accounts = Accounts(
            [],
            checker=SecretChecker(key=os.urandom(32)),
            robots=self.robots,
            clock=clock,
            anonymous=[Grant(glob, frozenset({PULL})) for glob in self._manner.anonymous],
        )
        self._notifier: Notifier | None = None
        self._clients: dict[Credential, RegistryClient] = {}
        self._prefixes: dict[str, str] = {}
        self._add_account(ADMIN, credentials.admin_token, Grant("*"))
        self.pull_accounts = PullAccounts(state, clock=clock, on_change=self._put_pull_account)

    async def start(self) -> None:
        """Open the storage, and begin to tell of pushes.

        Raises DataVersionError, StorageError, UserError, CredentialHelperError.
        """
        await self.upstreams.start()
        self.upstreams.warn_of_strangers(self._manner.anonymous)
        await self.registry.start()
        if not self._manner.notify:
            return
        try:
            self._notifier = open_notifier(
                self._root,
                self._manner.notify,
                secret_file=self._manner.notify_secret_file,
                instance=self.host,
                clock=self._clock,
            )
            await self._notifier.start(self.registry.read_tags)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close clients and storage."""
        if self._notifier is not None:
            await self._notifier.close()
        for client in self._clients.values():
            await client.close()
        await self.registry.close()
        await self.upstreams.close()

    def routes(self, on_push: Callable[[PushEvent], Awaitable[None]]) -> Iterable[BaseRoute]:
        """`/v2/…` and `/token`; `on_push` is told of every tag that was set."""

        async def take(event: PushEvent) -> None:
            try:
                if self._notifier is not None:
                    await self._notifier.pushed(event)
            finally:
                await on_push(event)

        app = create_registry_app(
            self.registry,
            self.accounts,
            on_push=take,
            clock=self._clock,
            tokens=TokenSettings(self._credentials.registry_token_key(), self._manner.external_url),
            observers=(self.counters, *self._manner.observers),
        )
        return app.routes

    def serves(self, registry: str) -> bool:
        """Whether a blueprint's registry prefix is on this registry."""
        return registry.partition("/")[0] == self.host

    def admit(self, environment: str, prefix: str) -> None:
        """Give an environment its account; its images are below a prefix such as `127.0.0.1:7070/home`."""
        self._prefixes[environment] = prefix.partition("/")[2]
        self.pull_accounts.admit(environment)

    def repository_of(self, environment: str, service: str) -> str:
        """Where an environment's images of a service are, below the registry's host."""
        prefix = self._prefixes.get(environment, "")
        return f"{prefix}/{service}" if prefix else service

    def client(self) -> RegistryClient:
        """A client with the platform's own account; kept and closed here."""
        return self._client(ADMIN, self._credentials.admin_token)

    def client_of(self, environment: str) -> RegistryClient:
        """A client with an environment's newest secret, as a node has it; kept and closed here."""
        account = self.pull_accounts.get(environment)
        return self._client(account.name, account.current.secret)

    def pull_secret(self, environment: str) -> bytes:
        """The `.dockerconfigjson` of an environment."""
        account = self.pull_accounts.get(environment)
        return format_docker_config({self.host: Credential(account.name, account.current.secret)})

    def _client(self, account: str, secret: str) -> RegistryClient:
        credential = Credential(account, secret)
        if credential not in self._clients:
            self._clients[credential] = RegistryClient(
                keyring=Keyring.of({self.host: credential}),
                plain_http=self._manner.plain_http,
                trust=self._manner.trust,
                clock=self._clock,
            )
        return self._clients[credential]

    def _put_pull_account(self, account: PullAccount) -> None:
        stored = tuple(_store(one.secret, one.id, one.expires_at) for one in account.secrets)
        grants = tuple(Grant(repository, frozenset({PULL})) for repository in account.repositories)
        self.accounts.put(Account(account.name, stored, grants))

    def _add_account(self, name: str, secret: str, grant: Grant) -> None:
        self.accounts.put(Account(name, (_store(secret, "own"),), (grant,)))


def _store(secret: str, secret_id: str, expires_at: float | None = None) -> StoredSecret:
    hashed = hash_secret(secret, salt=os.urandom(16), iterations=ROUNDS_FOR_RANDOM_SECRETS)
    return StoredSecret(secret_id, hashed, expires_at)
