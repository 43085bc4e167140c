"""What uv's failures mean: whose fault it is, in our words, with uv's own reason kept. Pure."""

import re

from towpath.build.entries import BuildError
from towpath.errors import IntegrityError, RemoteError, TowpathError

# 800: the packages, the versions and both hashes of a mismatch; a resolver's whole story is in nobody's interest.
_SHOWN_CHARACTERS = 800
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_PREFIX = re.compile(r"^\s*(?:error:|cause:|[^\x00-\x7f]+)\s*", re.MULTILINE)
_UNREACHABLE = (
    "failed to fetch",
    "error sending request",
    "request failed",
    "timed out",
    "connectivity is disabled",
    "network was disabled",
    "connection reset",
    "status client error",
    "status server error",
)
_NO_WHEEL = ("no wheels with a matching", "no usable wheels", "building source distributions", "no matching platform")


class PackagesUnavailableError(RemoteError):
    """The package index cannot be reached, or refuses."""


class PackageCorruptError(IntegrityError):
    """A downloaded file is not the one that the lock names."""


def explain_failure(lock: str, said: str) -> TowpathError:
    """The error for what uv said about a lock file."""
    lower = said.lower()
    reason = _CREDENTIALS.sub("***@", " ".join(_PREFIX.sub("", said).split()))[:_SHOWN_CHARACTERS]
    reason = reason or "uv gave no reason"
    if "hash mismatch" in lower:
        return PackageCorruptError(
            f"packages of {lock} cannot be trusted (HashMismatch): {reason}",
            hint="a file was replaced after it was locked: find out why before you lock again",
        )
    if any(words in lower for words in _NO_WHEEL):
        return BuildError(
            f"packages of {lock} cannot be installed (NoWheel): {reason}",
            hint="only wheels are installed, for nothing that a package brings may run during a build: lock versions "
            "that have wheels for this platform and Python, or use a base image that has the package",
        )
    if any(words in lower for words in _UNREACHABLE):
        return PackagesUnavailableError(
            f"packages of {lock} cannot be fetched (IndexUnreachable): {reason}",
            hint="check the network, or name a mirror by UV_DEFAULT_INDEX; an unchanged lock needs no network",
        )
    return BuildError(
        f"packages of {lock} cannot be installed (InstallFailed): {reason}", hint="lock the packages again and commit"
    )
