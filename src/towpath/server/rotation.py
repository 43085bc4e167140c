"""Replaces the pull secrets of environments without one failed pull.

 1. a new secret is added to the account; the old one stays valid;
 2. the environment is reconciled, which writes the new one into its namespaces;
 3. when every namespace is seen to hold it, the old one gets its end: a grace period from then on, for nodes that still
    have it at hand and for pulls that are under way with its tokens;
 4. after that it is forgotten.

Nothing of this is remembered here: an account with two secrets is one whose rotation is under way, so a restart goes
on where the last run stopped, and an environment on hold keeps its old secret until the hold ends.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

from towpath.aio.clock import Clock, format_rfc3339
from towpath.blueprint.model import PULL_SECRET
from towpath.kube.errors import ApiError
from towpath.kube.objects import find_path
from towpath.reconcile.ports import ResourceReader
from towpath.registry.tokens import TOKEN_SECONDS
from towpath.server.pullaccounts import PullAccount, PullAccounts
from towpath.server.pullsecrets import KEY, SECRET

log = logging.getLogger(__name__)

# A kubelet may go on using a Secret that it has read for up to two minutes; a pull that began with the old secret's
# token ends before that token does. Together, and some more for a slow clock.
GRACE_SECONDS = TOKEN_SECONDS + 300.0
# How soon a namespace that has the new secret is noticed while a rotation is under way.
LOOK_SECONDS = 0.5
# How often the expired are forgotten otherwise.
REST_SECONDS = 300.0


class Distribution(Protocol):
    """What is known of where pull secrets are to be."""

    def find_namespaces(self, environment: str) -> frozenset[str] | None:
        """The namespaces that are to hold the environment's secret; None before that is known."""
        ...

    def content(self, environment: str) -> str:
        """What they are to hold."""
        ...


class Rotation:
    """All rotations of one platform."""

    def __init__(
        self,
        accounts: PullAccounts,
        distribution: Distribution,
        client: ResourceReader,
        *,
        reconcile: Callable[[str, str], None],
        last_used: Callable[[str, str], float | None],
        clock: Clock,
    ) -> None:
        """Join the parts.

        Args:
            accounts: whose secrets are replaced.
            distribution: where they are to be.
            client: the cluster, to see where they are.
            reconcile: asks for the reconciliation of an environment, and says why.
            last_used: when a secret of an account last opened the registry.
            clock: paces the looks and dates the ends.
        """
        self._accounts = accounts
        self._distribution = distribution
        self._client = client
        self._reconcile = reconcile
        self._last_used = last_used
        self._clock = clock
        self._begun = asyncio.Event()

    async def run(self) -> None:
        """See every rotation to its end, for ever."""
        while True:
            pending = [account for account in self._accounts.all if account.is_replacing]
            for account in pending:
                await self._advance(account)
            self._accounts.forget_expired()
            self._begun.clear()
            pausing = asyncio.create_task(self._clock.sleep(LOOK_SECONDS if pending else REST_SECONDS))
            begun = asyncio.create_task(self._begun.wait())
            try:
                await asyncio.wait({pausing, begun}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                pausing.cancel()
                begun.cancel()

    def rotate(self, environment: str) -> list[str]:
        """Begin to replace the secret of an environment, or of all; their names.

        Raises:
            NotFoundError: there is no such environment.
            TowpathError: the new secret cannot be kept; the old one stays.
        """
        names = [environment] if environment else [account.environment for account in self._accounts.all]
        for name in names:
            self._accounts.rotate(name)
            self._reconcile(name, "pull secret rotated")
        self._begun.set()
        return names

    async def describe(self) -> list[dict[str, Any]]:
        """Every account, its secrets without what they are, and where the newest one has arrived."""
        return [await self._describe(account) for account in self._accounts.all]

    async def _advance(self, account: PullAccount) -> None:
        missing = await self._find_missing(account.environment)
        if missing is None or missing:
            return
        # Looked at again: a second rotation may have begun while the cluster was asked.
        if self._accounts.get(account.environment).current == account.current:
            self._accounts.retire(account.environment, expires_at=self._clock.now() + GRACE_SECONDS)
            log.info("the pull secret of %s was replaced everywhere", account.environment)

    async def _find_missing(self, environment: str) -> list[str] | None:
        """The namespaces that do not hold the newest secret yet; None when that cannot be known."""
        namespaces = self._distribution.find_namespaces(environment)
        if namespaces is None:
            return None
        wanted = self._distribution.content(environment)
        missing = []
        for namespace in sorted(namespaces):
            try:
                found = await self._client.get(SECRET, PULL_SECRET, namespace)
            except ApiError:
                missing.append(namespace)
                continue
            if find_path(found, "data", KEY) != wanted:
                missing.append(namespace)
        return missing

    async def _describe(self, account: PullAccount) -> dict[str, Any]:
        missing = await self._find_missing(account.environment)
        namespaces = self._distribution.find_namespaces(account.environment)
        uses = [self._last_used(account.name, one.id) for one in account.secrets]
        latest = max((at for at in uses if at is not None), default=None)
        return {
            "environment": account.environment,
            "account": account.name,
            "repositories": list(account.repositories),
            "namespaces": sorted(namespaces or ()),
            "waiting": sorted(namespaces or ()) if missing is None else missing,
            "state": _state(account, missing),
            "age_seconds": max(0.0, self._clock.now() - account.current.created_at),
            "last_used": None if latest is None else format_rfc3339(latest),
            "secrets": [
                {
                    "id": one.id,
                    "created": format_rfc3339(one.created_at),
                    "expires": None if one.expires_at is None else format_rfc3339(one.expires_at),
                    "last_used": None if used is None else format_rfc3339(used),
                }
                for one, used in zip(account.secrets, uses, strict=True)
            ],
        }


def _state(account: PullAccount, missing: list[str] | None) -> str:
    if account.is_replacing or missing:
        return "distributing"
    return "overlapping" if len(account.secrets) > 1 else "current"
