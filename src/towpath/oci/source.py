"""The address of a repository as images and attestations have it: one for all the ways of spelling a Git remote.

Clones of one repository name it by HTTP or SSH, with a user, a token, a port or `.git`, and an image must not depend on
which clone it was built from. What only one machine understands, a path, is no address.
"""

import re
from urllib.parse import SplitResult, urlsplit

# `[user@]host:path`, as ssh's own copy program takes it: no slash stands before the colon.
_SCP_LIKE = re.compile(r"(?:[^@/:\s]+@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^@/:\s\[\]]+):(?!//)(?P<path>[^:\s][^\s]*)")
# Ports of these say nothing about where a browser would look.
_SHELL_SCHEMES = frozenset({"ssh", "git+ssh", "ssh+git", "git"})
_DEFAULT_PORTS = {"https": 443, "http": 80}
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f]")


def format_source(url: str) -> str:
    """A remote as `https://host/path`; empty for what is no address.

    Another port than the scheme's own stays, and then plain HTTP does as well: it is where a small forge listens.
    """
    url = url.strip()
    parts = None if _UNPRINTABLE.search(url) else _split(url)
    if parts is None:
        return ""
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    path = parts.path.strip("/").removesuffix(".git").rstrip("/")
    if not host or not path:
        return ""
    shown = f"[{host}]" if ":" in host else host
    if port is None or parts.scheme in _SHELL_SCHEMES or port == _DEFAULT_PORTS[parts.scheme]:
        return f"https://{shown}/{path}"
    return f"{parts.scheme}://{shown}:{port}/{path}"


def _split(url: str) -> SplitResult | None:
    if "://" in url:
        try:
            parts = urlsplit(url)
        except ValueError:
            return None
        return parts if parts.scheme in _SHELL_SCHEMES | _DEFAULT_PORTS.keys() else None
    found = _SCP_LIKE.fullmatch(url)
    return SplitResult("ssh", found["host"], found["path"], "", "") if found else None
