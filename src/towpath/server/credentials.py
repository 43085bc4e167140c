"""The platform's own secrets: made once, kept in `credentials.json` (mode 0600), never printed and never in argv.

One admin token opens Git, the registry and the API. What namespaces pull with stands in `pullaccounts`. Making and
writing them: `credentialfile`; most commands only read.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

from towpath.errors import UserError

FILE = "credentials.json"
FORMAT = 1
ADMIN = "towpath"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The secrets of one platform."""

    admin_token: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    signing_key: str = field(repr=False)

    def webhook_secret_of(self, provider: str) -> str:
        """What a forge signs its webhooks with: another one for each, since some send it along in clear."""
        return _derive(self.webhook_secret, provider).hex()

    def registry_token_key(self) -> bytes:
        """What the registry's tokens are signed with: the same after a restart, so that logins outlast it."""
        return _derive(self.signing_key, "registry tokens")


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
        return Credentials(*(document[name] for name in Credentials.__slots__))
    except FileNotFoundError as error:
        raise UserError(f"{path} cannot be read (NotFound)", hint="start the platform first: towpath up") from error
    except PermissionError as error:
        raise UserError(f"{path} cannot be read (Permission): it belongs to another user") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} cannot be read (Damaged): {error}", hint="move the file away; new credentials will be made"
        ) from error


def _derive(secret: str, purpose: str) -> bytes:
    import hmac  # noqa: PLC0415 - brings OpenSSL, and what commands read is a token

    return hmac.digest(secret.encode(), purpose.encode(), "sha256")
