"""Where one platform keeps its things, and where it listens unless it is told: `server.settings`.

Paths below `.towpath/` are a cache, except `git/` (what was pushed), `credentials.json` and `registry/`.
"""

from pathlib import Path

from towpath.errors import UserError

STATE_DIRECTORY = ".towpath"
# Below it: the builder's cache.
BUILD_DIRECTORY = "build"
DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 7070
DEFAULT_KUBE_PORT = 7443
DEFAULT_NAMESPACE = "towpath"


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
