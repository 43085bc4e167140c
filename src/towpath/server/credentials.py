"""The platform's own secrets: made once, kept in `credentials.json` (mode 0600), never printed and never in argv.

One admin token opens Git, the registry and the API. Each environment has a pull account of its own, so that losing one
namespace's secret does not open the rest.
"""

import hmac
import json
import secrets
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from towpath.aio.files import write_durably
from towpath.errors import UserError

FILE = "credentials.json"
FORMAT = 1
ADMIN = "towpath"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The secrets of one platform. `pull` maps an environment to its registry password."""

    admin_token: str
    webhook_secret: str
    signing_key: str
    pull: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def account_of(environment: str) -> str:
        """The registry account of an environment's pull secret."""
        return f"pull-{environment}"

    def webhook_secret_of(self, provider: str) -> str:
        """What a forge signs its webhooks with: another one for each, since some send it along in clear."""
        return hmac.digest(self.webhook_secret.encode(), provider.encode(), "sha256").hex()


def load_or_create(state: Path) -> Credentials:
    """The platform's credentials; made at the first call.

    Raises:
        UserError: the file is damaged or of another version.
    """
    path = state / FILE
    if path.exists():
        return read(state)
    made = Credentials(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(32))
    save(state, made)
    return made


def read(state: Path) -> Credentials:
    """The platform's credentials.

    Raises:
        UserError: there is no file, or it is damaged or of another version.
    """
    path = state / FILE
    try:
        document = json.loads(path.read_text())
        version = document.pop("version")
        if version != FORMAT:
            raise UserError(
                f"{path} cannot be read (Version): it has version {version}, expected {FORMAT}",
                hint="run the Towpath that wrote it, or move the file away to make new credentials",
            )
        return Credentials(**document)
    except FileNotFoundError as error:
        raise UserError(f"{path} cannot be read (NotFound)", hint="start the platform first: towpath up") from error
    except PermissionError as error:
        raise UserError(f"{path} cannot be read (Permission): it belongs to another user") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} cannot be read (Damaged): {error}", hint="move the file away; new credentials will be made"
        ) from error


def with_pull_accounts(state: Path, credentials: Credentials, environments: list[str]) -> Credentials:
    """The same credentials with a pull password for every environment; saved if one is new."""
    missing = {name: secrets.token_urlsafe(24) for name in environments if name not in credentials.pull}
    if not missing:
        return credentials
    extended = replace(credentials, pull={**credentials.pull, **missing})
    save(state, extended)
    return extended


def save(state: Path, credentials: Credentials) -> None:
    """Write the file, readable by its owner alone."""
    document = {"version": FORMAT, **asdict(credentials)}
    write_durably(state / FILE, json.dumps(document, indent=2).encode() + b"\n", mode=0o600)
