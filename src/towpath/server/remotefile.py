"""Which outside repository a platform follows, remembered in `.towpath/remote.json`.

`towpath up --remote URL` need be said once. A platform that hosts its repository is never turned into one that follows
another by an option alone: the first fetch would replace what was pushed to it. The token stays in its own file; only
the path of that file is remembered.
"""

import json
import logging
from dataclasses import replace
from pathlib import Path

from towpath.aio.files import write_durably
from towpath.errors import ConflictError, UserError
from towpath.server.settings import Settings
from towpath.source.upstream import Upstream

log = logging.getLogger(__name__)
REMOTE_FILE = "remote.json"
FORMAT = 1


def recall_remote(settings: Settings) -> Settings:
    """The same settings with the remote of an earlier start where none is named; one that is named is remembered.

    Raises:
        UserError: the file is damaged, or the URL cannot be used.
        ConflictError: the platform hosts its repository.
    """
    path = settings.state / REMOTE_FILE
    if not settings.remote:
        return _read(path, settings) if path.exists() else settings
    Upstream(settings.remote)  # refuses what cannot be followed before it is remembered
    if not path.exists() and _hosts_commits(settings.state):
        raise ConflictError(
            f"platform {settings.root} cannot follow {settings.remote} (Hosting): it hosts its own repository",
            hint=f"push that one there (git push --mirror), then move {settings.state / 'git'} away",
        )
    token_file = settings.remote_token_file
    document = {
        "version": FORMAT,
        "url": settings.remote,
        "user": settings.remote_user,
        "token_file": str(token_file.resolve()) if token_file else "",
    }
    write_durably(path, json.dumps(document, indent=2).encode() + b"\n", mode=0o600)
    return settings


def make_upstream(settings: Settings) -> Upstream:
    """The outside repository, with its token read. Raises UserError."""
    path = settings.remote_token_file
    if path is None:
        return Upstream(settings.remote)
    try:
        token = path.read_text().strip()
        if path.stat().st_mode & 0o077:
            log.warning("%s can be read by others; chmod 600 %s", path, path)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"access token {path} cannot be read ({type(error).__name__})", hint="name it with --remote-token-file"
        ) from error
    if not token:
        raise UserError(f"access token {path} cannot be used (Empty)", hint="write the token into it")
    return Upstream(settings.remote, settings.remote_user, token)


def _read(path: Path, settings: Settings) -> Settings:
    try:
        document = json.loads(path.read_text())
        token_file = Path(document["token_file"]) if document["token_file"] else None
        if document["version"] != FORMAT:
            raise UserError(f"{path} cannot be read (Version): {document['version']}, expected {FORMAT}")
        return replace(
            settings,
            remote=str(document["url"]),
            remote_user=str(document["user"]),
            remote_token_file=settings.remote_token_file or token_file,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} cannot be read (Damaged): {error}", hint="move it away, and name the repository with --remote"
        ) from error


def _hosts_commits(state: Path) -> bool:
    """Whether something was ever pushed to this platform's own repository."""
    for repository in state.glob("git/*.git"):
        if (repository / "packed-refs").exists() or any(
            path.is_file() for path in (repository / "refs" / "heads").rglob("*")
        ):
            return True
    return False
