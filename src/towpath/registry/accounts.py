"""Who may do what: accounts with hashed secrets and grants by repository.

An account may have several secrets at once, so that one can be replaced while the other still opens the door; each may
expire. A grant's glob is matched against the whole repository name, and its `*` also matches `/`: `lab/*` covers every
repository below `lab`. Robots, which people make and revoke, stand in `robots`; they are looked up here.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Protocol

from towpath.aio.clock import Clock, SystemClock
from towpath.http.credentials import SecretChecker
from towpath.oci.challenge import DELETE, PULL, PUSH

ALL_ACTIONS = frozenset({PULL, PUSH, DELETE})
ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Grant:
    """Actions (`pull`, `push`, `delete`) on the repositories that a glob matches."""

    repository_glob: str
    actions: frozenset[str] = ALL_ACTIONS


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """A secret at rest. `hash` is made by `http.credentials.hash_secret`; `id` names it without telling anything."""

    id: str
    hash: str = field(repr=False)
    expires_at: float | None = None  # wall time; None for never

    def is_valid(self, now: float) -> bool:
        """Whether it has not expired."""
        return self.expires_at is None or now < self.expires_at


@dataclass(frozen=True, slots=True)
class Account:
    """A user or a machine."""

    name: str
    secrets: tuple[StoredSecret, ...] = ()
    grants: tuple[Grant, ...] = ()

    def allowed(self, repository: str) -> frozenset[str]:
        """All actions that this account may do on a repository."""
        matching = (grant.actions for grant in self.grants if fnmatchcase(repository, grant.repository_glob))
        return frozenset().union(*matching)


@dataclass(frozen=True, slots=True)
class Login:
    """An account, and which of its secrets was shown; the anonymous login has shown none."""

    account: Account
    secret_id: str = ""


class Directory(Protocol):
    """Accounts that are kept elsewhere, and may change at any time."""

    def find(self, name: str) -> Account | None:
        """The account of that name as it is at this moment."""
        ...


class Accounts:
    """The accounts of one registry."""

    def __init__(
        self,
        accounts: Iterable[Account],
        *,
        checker: SecretChecker,
        robots: Directory | None = None,
        clock: Clock | None = None,
        anonymous: Iterable[Grant] = (),
    ) -> None:
        """Prepare.

        Args:
            accounts: those that the program itself makes; they win over robots of the same name.
            checker: checks secrets.
            robots: those that people make.
            clock: ages secrets.
            anonymous: what may be done without any secret; nothing unless said.
        """
        self._accounts = {account.name: account for account in accounts}
        self._checker = checker
        self._robots = robots
        self._clock = clock or SystemClock()
        grants = tuple(anonymous)
        self._anonymous = Login(Account(ANONYMOUS, (), grants)) if grants else None
        self._last_used: dict[tuple[str, str], float] = {}

    @property
    def anonymous(self) -> Login | None:
        """What everybody may do; None when nobody may do anything without a secret."""
        return self._anonymous

    def put(self, account: Account) -> None:
        """Add an account, or replace the one of that name; it counts from the next request on."""
        self._accounts[account.name] = account

    def find(self, name: str) -> Account | None:
        """An account by name."""
        account = self._accounts.get(name)
        if account is None and self._robots is not None:
            account = self._robots.find(name)
        return account

    def find_login(self, name: str, secret_id: str) -> Login | None:
        """The login that a token was made for, while the account has that secret and it has not expired."""
        if name == ANONYMOUS and not secret_id:
            return self._anonymous
        account = self.find(name)
        now = self._clock.now()
        if account is None or not any(one.id == secret_id and one.is_valid(now) for one in account.secrets):
            return None
        self._last_used[name, secret_id] = now
        return Login(account, secret_id)

    async def authenticate(self, name: str, secret: str) -> Login | None:
        """The login of a name and a secret, or None."""
        account = self.find(name)
        if account is None:
            return None
        now = self._clock.now()
        for stored in account.secrets:
            if stored.is_valid(now) and await self._checker.check(secret, stored.hash):
                self._last_used[name, stored.id] = now
                return Login(account, stored.id)
        return None

    def last_used(self, name: str, secret_id: str) -> float | None:
        """When a secret of an account, or a token made for it, last opened the door; None for never in this run."""
        return self._last_used.get((name, secret_id))
