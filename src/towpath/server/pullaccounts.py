"""The registry accounts that namespaces pull with: one an environment, kept in `pull-accounts.json` (mode 0600).

An account may pull from the repositories that its environment's overlay pins, and from no other. It has one secret, or
several while one is being replaced: the newest is the one to distribute, the others open the door until their time is
over. The secrets are kept as they are, since they must be written into the namespaces again after a restart.
"""

import json
import logging
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from towpath.aio.clock import Clock
from towpath.aio.files import write_durably
from towpath.errors import NotFoundError, TowpathError, UserError

log = logging.getLogger(__name__)

FILE = "pull-accounts.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class PullSecret:
    """One secret; `id` names it without telling anything. `expires_at` is None until it is replaced everywhere."""

    id: str
    secret: str = field(repr=False)
    created_at: float
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class PullAccount:
    """The account of an environment; `secrets` are newest first."""

    environment: str
    secrets: tuple[PullSecret, ...]
    repositories: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What it is called at the registry."""
        return f"pull-{self.environment}"

    @property
    def current(self) -> PullSecret:
        """The one to distribute."""
        return self.secrets[0]

    @property
    def is_replacing(self) -> bool:
        """Whether an older secret is still needed somewhere, as far as is known."""
        return any(secret.expires_at is None for secret in self.secrets[1:])


def _make_secret() -> str:
    return secrets.token_urlsafe(32)


class PullAccounts:
    """All pull accounts of one platform."""

    def __init__(
        self,
        state: Path,
        *,
        clock: Clock,
        on_change: Callable[[PullAccount], None],
        new_secret: Callable[[], str] = _make_secret,
    ) -> None:
        """Read them; `on_change` is told of each account as it is, first and after every change.

        Raises:
            UserError: the file is damaged or of another version.
        """
        self._path = state / FILE
        self._clock = clock
        self._on_change = on_change
        self._new_secret = new_secret
        self._accounts = {account.environment: account for account in _read(self._path)}
        for account in self._accounts.values():
            on_change(account)

    @property
    def all(self) -> list[PullAccount]:
        """The accounts, by environment."""
        return [self._accounts[name] for name in sorted(self._accounts)]

    def get(self, environment: str) -> PullAccount:
        """The account of an environment. Raises NotFoundError."""
        account = self._accounts.get(environment)
        if account is None:
            raise NotFoundError(
                f"environment {environment} has no pull secret (NotFound): there are "
                f"{', '.join(sorted(self._accounts)) or 'none'}",
                hint="towpath secrets list",
            )
        return account

    def admit(self, environment: str) -> None:
        """Make the account of an environment that has none."""
        if environment not in self._accounts:
            self._keep(PullAccount(environment, (self._new_one(),)))

    def allow(self, environment: str, repositories: Iterable[str]) -> None:
        """Let it pull from these repositories too."""
        account = self.get(environment)
        wanted = tuple(sorted({*account.repositories, *repositories}))
        if wanted != account.repositories:
            self._keep(replace(account, repositories=wanted))

    def narrow(self, environment: str, repositories: Iterable[str]) -> None:
        """Let it pull from these repositories and no other."""
        account = self.get(environment)
        wanted = tuple(sorted(set(repositories)))
        if wanted != account.repositories:
            self._keep(replace(account, repositories=wanted))

    def rotate(self, environment: str) -> PullAccount:
        """Add a secret; those before it stay valid until `retire`."""
        account = self.get(environment)
        self._keep(replace(account, secrets=(self._new_one(), *account.secrets)))
        return self._accounts[environment]

    def retire(self, environment: str, *, expires_at: float) -> None:
        """Let the replaced secrets end: nothing hands them out any more."""
        account = self.get(environment)
        older = tuple(
            secret if secret.expires_at is not None else replace(secret, expires_at=expires_at)
            for secret in account.secrets[1:]
        )
        self._keep(replace(account, secrets=(account.current, *older)))

    def forget_expired(self) -> None:
        """Drop secrets whose time is over."""
        now = self._clock.now()
        for account in list(self._accounts.values()):
            kept = tuple(one for one in account.secrets if one.expires_at is None or one.expires_at > now)
            if kept != account.secrets:
                self._keep(replace(account, secrets=kept))

    def _new_one(self) -> PullSecret:
        return PullSecret(secrets.token_hex(6), self._new_secret(), self._clock.now())

    def _keep(self, account: PullAccount) -> None:
        # On disk first: a secret that was handed out must be known after a crash.
        document = {
            "version": FORMAT,
            "accounts": [_format(one) for one in ({**self._accounts, account.environment: account}).values()],
        }
        try:
            write_durably(self._path, json.dumps(document, indent=2).encode() + b"\n", mode=0o600)
        except OSError as error:
            raise TowpathError(
                f"pull account of {account.environment} cannot be kept ({type(error).__name__}): {error.strerror}",
                hint="free some disk space; what was kept before is unchanged",
            ) from error
        self._accounts[account.environment] = account
        self._on_change(account)


def _format(account: PullAccount) -> dict[str, Any]:
    return {
        "environment": account.environment,
        "repositories": list(account.repositories),
        "secrets": [
            {"id": one.id, "secret": one.secret, "created_at": one.created_at, "expires_at": one.expires_at}
            for one in account.secrets
        ],
    }


def _read(path: Path) -> list[PullAccount]:
    try:
        document = json.loads(path.read_bytes())
        if document["version"] != FORMAT:
            raise UserError(
                f"{path} cannot be read (Version): it has version {document['version']}, expected {FORMAT}",
                hint="run the Towpath that wrote it, or move the file away to make new secrets",
            )
        accounts = [
            PullAccount(
                entry["environment"],
                tuple(
                    PullSecret(one["id"], one["secret"], one["created_at"], one["expires_at"])
                    for one in entry["secrets"]
                ),
                tuple(entry["repositories"]),
            )
            for entry in document["accounts"]
        ]
        if not all(account.secrets for account in accounts):
            raise ValueError("an account without a secret")
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} cannot be read (Damaged): {error}", hint="move the file away; new secrets will be made"
        ) from error
    return accounts
