"""Where the platform repository is: hosted by this process, or followed by URL. Two adapters of one port.

Either way there is a bare repository on disk, every push reaches `Delivery.take` exactly once handled, and a commit of
ours is told like any push. Hosted: clients push here, and each push is told through our own signed webhook. Followed:
the repository is a mirror; forges' webhooks are hints, polling is the floor, and what is committed goes there first.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol

from starlette.routing import BaseRoute, Mount

from towpath.aio.clock import Clock
from towpath.errors import RemoteError, TowpathError
from towpath.http.credentials import equals_secret
from towpath.server.credentials import ADMIN, Credentials
from towpath.server.delivery import Delivery
from towpath.source.events import PushEvent
from towpath.source.host import GitHost, create_git_app
from towpath.source.remote import RemoteSource, RemoteStatus
from towpath.source.repository import GitRepository
from towpath.source.signatures import FORGES, OWN_PROVIDER
from towpath.source.upstream import Upstream
from towpath.source.webhook import WebhookReceiver, create_webhook_app, prepare_delivery

log = logging.getLogger(__name__)


class Origin(Protocol):
    """Where pushes come from."""

    async def start(self) -> None:
        """Take up what a restart left open, and listen."""
        ...

    async def close(self) -> None:
        """Stop."""
        ...

    async def announce(self, branch: str) -> None:
        """The branch has moved, by a commit of ours or by others: heard like any push, handled when this returns."""
        ...

    def routes(self) -> Iterable[BaseRoute]:
        """`/git/…` and `/webhooks/…`."""
        ...

    def find_status(self) -> RemoteStatus | None:
        """How following goes; None where nothing is followed."""
        ...


class HostedOrigin:
    """The repository is here: git clients push to it."""

    def __init__(
        self,
        name: str,
        repository: GitRepository,
        delivery: Delivery,
        *,
        credentials: Credentials,
        clock: Clock,
        new_uid: Callable[[], str],
    ) -> None:
        self._name = name
        self._secret = credentials.webhook_secret
        self._new_uid = new_uid
        self._receiver = WebhookReceiver({OWN_PROVIDER: [self._secret]}, delivery.take, clock=clock)
        self._host = GitHost({name: repository}, Password(credentials), self._send, clock=clock)
        self.received: Counter[tuple[str, str]] = self._receiver.received

    async def start(self) -> None:
        """Look for pushes that were not handled, and keep looking."""
        await self._host.start()

    async def close(self) -> None:
        """Stop looking."""
        await self._host.close()

    async def announce(self, branch: str) -> None:
        """Look at once."""
        del branch
        await self._host.look(self._name)

    def routes(self) -> Iterable[BaseRoute]:
        """The Git server, and our own webhooks."""
        return [Mount("/git", create_git_app(self._host)), Mount("/webhooks", create_webhook_app(self._receiver))]

    def find_status(self) -> RemoteStatus | None:
        """Nothing is followed."""
        return None

    async def _send(self, event: PushEvent) -> None:
        """Tell our own receiver, in the very form an outside forge would.

        Raises:
            RemoteError: it was not taken, so that the host tells again.
        """
        delivery = prepare_delivery(event, secret=self._secret, new_delivery_id=self._new_uid())
        headers = {name.lower(): value for name, value in delivery.headers.items()}
        receipt = await self._receiver.receive(OWN_PROVIDER, headers, delivery.body)
        self._receiver.count(OWN_PROVIDER, receipt)
        if receipt.status >= 300:
            raise RemoteError(f"push to {event.ref} was not taken ({receipt.reason}): {receipt.message}")


class FollowedOrigin:
    """The repository is elsewhere: here is a mirror, which clients may read."""

    def __init__(
        self,
        name: str,
        repository: GitRepository,
        delivery: Delivery,
        upstream: Upstream,
        *,
        credentials: Credentials,
        clock: Clock,
        poll_seconds: float,
    ) -> None:
        """Join the parts. `repository` must have been made with the same upstream."""
        self._remote = RemoteSource(name, upstream, repository, delivery.take, clock=clock, poll_seconds=poll_seconds)
        secrets = {provider: [credentials.webhook_secret_of(provider)] for provider in FORGES}
        self._receiver = WebhookReceiver(secrets, self._hint, clock=clock)
        # Not started: the mirror's refs are watched by the follower, and nobody may push.
        self._host = GitHost(
            {name: repository}, Password(credentials), delivery.take, authorize=_only_read, clock=clock
        )
        self.received: Counter[tuple[str, str]] = self._receiver.received

    async def start(self) -> None:
        """Begin to follow; an outside repository that cannot be reached is tried again, for ever."""
        await self._remote.start()

    async def close(self) -> None:
        """Stop following."""
        await self._remote.close()
        await self._host.close()

    async def announce(self, branch: str) -> None:
        """Look at once; the commit is there already, so a failure costs a moment and nothing else."""
        del branch
        try:
            await self._remote.look()
        except TowpathError as error:
            log.warning("%s", error.message)
            self._remote.hint()

    def routes(self) -> Iterable[BaseRoute]:
        """The mirror, and the webhooks of forges."""
        return [Mount("/git", create_git_app(self._host)), Mount("/webhooks", create_webhook_app(self._receiver))]

    @property
    def status(self) -> RemoteStatus:
        """How following goes."""
        return self._remote.status

    def find_status(self) -> RemoteStatus | None:
        """The same."""
        return self.status

    async def _hint(self, event: PushEvent) -> None:
        # Whoever signs with our secret may make us look; which commit to wait for counts only for this repository.
        self._remote.hint(event if self._remote.meant_by(event) else None)


class Password:
    """`source.host.Authenticate`: any user name with the platform's token."""

    def __init__(self, credentials: Credentials) -> None:
        self._token = credentials.admin_token

    async def __call__(self, username: str, password: str, /) -> str | None:
        """The account's name; None when the password is wrong."""
        return (username or ADMIN) if equals_secret(password, self._token) else None


def _only_read(account: str, repository: str, *, write: bool) -> bool:
    del account, repository
    return not write
