"""Versions as engines print them, and what each can do from which version on. Pure."""

import re

from towpath.build.engines.engine import Capabilities

Version = tuple[int, int]

_VERSION = re.compile(r"\bv?(\d+)\.(\d+)(?:\.\d+)?")


def parse_version(text: str) -> Version:
    """The first version in a text; (0, 0) when there is none."""
    found = _VERSION.search(text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def format_version(text: str) -> str:
    """The first version in a text, as written there; `unknown` when there is none."""
    found = _VERSION.search(text)
    return found[0].removeprefix("v") if found else "unknown"


def buildah_capabilities(version: Version) -> Capabilities:
    """Buildah: times of files since 1.19 (`--timestamp`), secrets since 1.20, several platforms since 1.23."""
    return Capabilities(
        repro=version >= (1, 19),
        oci_out=True,
        secrets=version >= (1, 20),
        cache=True,
        platforms=version >= (1, 23),
    )


def podman_capabilities(version: Version) -> Capabilities:
    """Podman: it has a buildah inside, that of 1.19 in 3.0 and that of 1.23 in 4.0."""
    return Capabilities(
        repro=version >= (3, 0),
        oci_out=version >= (3, 0),
        secrets=version >= (3, 2),
        cache=True,
        platforms=version >= (4, 0),
    )


def docker_capabilities(version: Version, *, exports_oci: bool) -> Capabilities:
    """Docker: a daemon with a BuildKit that knows secrets since 20.10, which is the oldest that was tried.

    Args:
        version: of client and daemon, the older one.
        exports_oci: its builder writes OCI archives itself, and then with the times of files rewritten.
    """
    known = version >= (20, 10)
    return Capabilities(
        repro=exports_oci, oci_out=exports_oci or known, secrets=known, cache=True, platforms=exports_oci
    )


def buildkit_capabilities(version: Version) -> Capabilities:
    """BuildKit: times of files are rewritten since 0.13. One that was built by hand says 0.0, and counts as new."""
    repro = version >= (0, 13) or version == (0, 0)
    return Capabilities(repro=repro, oci_out=True, secrets=True, cache=True, platforms=True)
