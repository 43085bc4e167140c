"""The embedded registry with its accounts, and clients that see it with one account's eyes.

The platform's own account may do everything; each environment's may pull what is under the platform's prefix and
nothing else. Their secrets are random and 256 bits long, so their hashes need no stretching (0.2 s each at start).
"""

import os
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from starlette.routing import BaseRoute

from towpath.aio.clock import Clock
from towpath.http.credentials import SecretChecker, hash_secret
from towpath.http.hosts import is_loopback
from towpath.oci.challenge import PULL
from towpath.oci.keyring import Credential, Keyring, format_docker_config
from towpath.ociclient.client import RegistryClient
from towpath.registry.accounts import Account, Accounts, Grant, StoredSecret
from towpath.registry.app import create_registry_app
from towpath.registry.protocol.exchange import PushEvent
from towpath.registry.service import Registry
from towpath.server.credentials import ADMIN, Credentials

ROUNDS_FOR_RANDOM_SECRETS = 1


class Artifacts:
    """The registry side of one platform."""

    def __init__(
        self,
        directory: Path,
        *,
        host: str,
        credentials: Credentials,
        clock: Clock,
        plain_http: Callable[[str], bool] = is_loopback,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            directory: where the images are.
            host: where the registry is reached, as manifests name it: `127.0.0.1:7070`.
            credentials: the platform's secrets.
            clock: the time.
            plain_http: which registries are spoken to without TLS.
        """
        self._clock = clock
        self._credentials = credentials
        self._registry = Registry(directory, clock=clock)
        self._accounts = Accounts([], checker=SecretChecker(key=os.urandom(32)))
        self._plain_http = plain_http
        self.host = host
        self._clients: dict[str, RegistryClient] = {}
        self._add_account(ADMIN, credentials.admin_token, Grant("*"))

    async def start(self) -> None:
        """Open the storage. Raises DataVersionError, StorageError."""
        await self._registry.start()

    async def close(self) -> None:
        """Close clients and storage."""
        for client in self._clients.values():
            await client.close()
        await self._registry.close()

    def routes(self, on_push: Callable[[PushEvent], Awaitable[None]]) -> Iterable[BaseRoute]:
        """`/v2/…` and `/token`; `on_push` is told of every tag that was set."""
        app = create_registry_app(self._registry, self._accounts, on_push=on_push, clock=self._clock)
        return app.routes

    def serves(self, registry: str) -> bool:
        """Whether a blueprint's registry prefix is on this registry."""
        return registry.partition("/")[0] == self.host

    def admit(self, environment: str, credentials: Credentials, prefix: str) -> None:
        """Let an environment pull what is under a prefix such as `127.0.0.1:7070/home`."""
        self._credentials = credentials
        repositories = prefix.partition("/")[2]
        grant = Grant(f"{repositories}/*" if repositories else "*", frozenset({PULL}))
        self._add_account(credentials.account_of(environment), credentials.pull[environment], grant)

    def client(self) -> RegistryClient:
        """A client with the platform's own account; kept and closed here."""
        return self._client(ADMIN, self._credentials.admin_token)

    def client_of(self, environment: str) -> RegistryClient:
        """A client with an environment's account; kept and closed here."""
        return self._client(self._credentials.account_of(environment), self._credentials.pull[environment])

    def pull_secret(self, environment: str) -> bytes:
        """The `.dockerconfigjson` of an environment."""
        credential = Credential(self._credentials.account_of(environment), self._credentials.pull[environment])
        return format_docker_config({self.host: credential})

    def _client(self, account: str, secret: str) -> RegistryClient:
        if account not in self._clients:
            content = format_docker_config({self.host: Credential(account, secret)})
            self._clients[account] = RegistryClient(
                keyring=Keyring.parse(content), plain_http=self._plain_http, clock=self._clock
            )
        return self._clients[account]

    def _add_account(self, name: str, secret: str, grant: Grant) -> None:
        stored = hash_secret(secret, salt=os.urandom(16), iterations=ROUNDS_FOR_RANDOM_SECRETS)
        self._accounts.put(Account(name, (StoredSecret("1", stored),), (grant,)))
