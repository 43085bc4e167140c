"""Where one platform keeps its things and where it listens.

Settings come from the command line and the platform repository; nothing is read from the environment behind the user's
back. Paths below `.towpath/` are a cache, except `git/` (what was pushed), `credentials.json` and `registry/`.
"""

from dataclasses import dataclass
from pathlib import Path

from towpath.errors import UserError

STATE_DIRECTORY = ".towpath"
DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 7070
DEFAULT_KUBE_PORT = 7443


@dataclass(frozen=True, slots=True)
class Settings:
    """One platform.

    Attributes:
        root: the working copy of the platform repository.
        host: where to listen; loopback unless the user says otherwise.
        port: of Git, registry, webhooks and API.
        kube_port: of the Kubernetes API.
        branch: the branch that is built and reconciled.
        remote: the URL of an outside repository to follow instead of hosting one; empty to host.
        remote_user: the user name for it, with a token.
        remote_token_file: the file that holds the access token for it; None for none.
        poll_seconds: the floor under webhooks when following an outside repository.
        isolation: how pods are kept apart, if it is to be less than the machine offers; empty for its best.
    """

    root: Path
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    kube_port: int = DEFAULT_KUBE_PORT
    branch: str = "main"
    remote: str = ""
    remote_user: str = "git"
    remote_token_file: Path | None = None
    poll_seconds: float = 60.0
    isolation: str = ""

    @property
    def address(self) -> str:
        """`host:port` of Git, registry, webhooks and API."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.root / STATE_DIRECTORY


def find_root(start: Path) -> Path:
    """The platform repository that holds `start`.

    Raises:
        UserError: neither `start` nor a directory above it is one.
    """
    for directory in (start, *start.parents):
        if (directory / "towpath.yaml").is_file() or (directory / STATE_DIRECTORY).is_dir():
            return directory
    raise UserError(
        f"{start} is no platform repository (NotFound): no towpath.yaml here or above",
        hint="`towpath init DIR` writes one",
    )
