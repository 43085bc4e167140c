"""Who may do what: accounts with hashed secrets and grants by repository.

A grant's glob is matched against the whole repository name, and its `*` also matches `/`: `lab/*` covers every
repository below `lab`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from towpath.http.credentials import SecretChecker
from towpath.oci.challenge import DELETE, PULL, PUSH

ALL_ACTIONS = frozenset({PULL, PUSH, DELETE})


@dataclass(frozen=True, slots=True)
class Grant:
    """Actions (`pull`, `push`, `delete`) on the repositories that a glob matches."""

    repository_glob: str
    actions: frozenset[str] = ALL_ACTIONS


@dataclass(frozen=True, slots=True)
class Account:
    """A user or a machine. `secret_hash` is made by `http.credentials.hash_secret`."""

    name: str
    secret_hash: str = field(repr=False)
    grants: tuple[Grant, ...] = ()

    def allowed(self, repository: str) -> frozenset[str]:
        """All actions that this account may do on a repository."""
        matching = (grant.actions for grant in self.grants if fnmatchcase(repository, grant.repository_glob))
        return frozenset().union(*matching)


class Accounts:
    """The accounts of one registry."""

    def __init__(self, accounts: Iterable[Account], *, checker: SecretChecker) -> None:
        self._accounts = {account.name: account for account in accounts}
        self._checker = checker

    def put(self, account: Account) -> None:
        """Add an account, or replace the one of that name; it counts from the next request on."""
        self._accounts[account.name] = account

    def find(self, name: str) -> Account | None:
        """An account by name."""
        return self._accounts.get(name)

    async def authenticate(self, name: str, secret: str) -> Account | None:
        """The account whose secret this is, or None."""
        account = self._accounts.get(name)
        if account is None or not await self._checker.check(secret, account.secret_hash):
            return None
        return account
