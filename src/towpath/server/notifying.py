"""Who is told of pushes, as a user's options say: the outbox opened, the secret read or made, the notifier joined."""

import secrets
import uuid
from collections.abc import Sequence
from pathlib import Path

from towpath.aio.clock import Clock
from towpath.aio.files import write_durably
from towpath.errors import TowpathError, UserError
from towpath.registry.notifications import NotificationSettings, Notifier, check_url
from towpath.registry.outbox import Outbox

SECRET_FILE = "notify.secret"  # noqa: S105 - a file's name


def open_notifier(
    root: Path, urls: Sequence[str], *, secret_file: Path | None, instance: str, clock: Clock
) -> Notifier:
    """The notifier of a registry directory, which exists.

    Args:
        root: the registry's directory; the outbox is there, and the secret when none is given.
        urls: whom to tell.
        secret_file: what holds the secret that signs; None for `notify.secret`, made when there is none.
        instance: what the registry calls itself.
        clock: dates events and paces retries.

    Raises:
        UserError: an address or the secret cannot be used.
        TowpathError: the outbox cannot be opened.
    """
    for url in urls:
        check_url(url)
    secret = _read_secret(secret_file) if secret_file else _keep_secret(root / SECRET_FILE)
    settings = NotificationSettings(urls, secret, instance)
    return Notifier(Outbox(root), settings, clock=clock, new_id=lambda: str(uuid.uuid4()))


def _keep_secret(path: Path) -> bytes:
    try:
        if not path.exists():
            write_durably(path, secrets.token_urlsafe(32).encode() + b"\n", mode=0o600)
    except OSError as error:
        raise TowpathError(f"{path} cannot be written ({type(error).__name__}): {error.strerror}") from error
    return _read_secret(path)


def _read_secret(path: Path) -> bytes:
    try:
        secret = path.read_bytes().strip()
    except OSError as error:
        raise UserError(
            f"secret {path} cannot be read ({type(error).__name__}): {error.strerror}",
            hint="name a file with --notify-secret-file",
        ) from error
    if not secret:
        raise UserError(f"secret {path} cannot be used (Empty)", hint="write the secret into it")
    return secret
