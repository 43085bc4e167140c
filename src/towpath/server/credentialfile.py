"""Makes the platform's own secrets, once, and writes their file. Reading it: `credentials`."""

import json
import secrets
from dataclasses import asdict
from pathlib import Path

from towpath.aio.files import write_durably
from towpath.server.credentials import FILE, FORMAT, Credentials, read


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


def save(state: Path, credentials: Credentials) -> None:
    """Write the file, readable by its owner alone."""
    document = {"version": FORMAT, **asdict(credentials)}
    write_durably(state / FILE, json.dumps(document, indent=2).encode() + b"\n", mode=0o600)
