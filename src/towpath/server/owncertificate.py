"""The certificate that `--tls` makes: the names it is good for, by one rule for a platform and a registry alone.

A server is always good for this machine's loopback, for where it listens and for what the machine is called; names that
others know it by are said by its user. The files are made by `http.certificates`.
"""

import ipaddress
import platform as machine
import re
from collections.abc import Iterable
from pathlib import Path

from towpath.errors import TowpathError
from towpath.http.certificates import Certificates, ensure_certificates

SUBJECT = "towpath"
LOOPBACK = ("127.0.0.1", "localhost")
# A machine may be called anything, or nothing; a certificate takes host names only.
_HOST_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,252}")


def is_certifiable(name: str) -> bool:
    """Whether a certificate can be good for this name: a host name in lower case, or an address; no port."""
    if _HOST_NAME.fullmatch(name):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def ensure_own_certificate(
    directory: Path, *, names: Iterable[str], now: float, authority: Path | None = None
) -> Certificates:
    """The certificate for these names beside those of every server, made or renewed if need be.

    Args:
        directory: where it is kept; the authority too, unless that is elsewhere.
        names: as `is_certifiable` takes them.
        now: wall time.
        authority: the directory of the authority.

    Raises:
        TowpathError: the disk refused.
    """
    here = machine.node().lower()
    every = dict.fromkeys([*LOOPBACK, *names, *([here] if _HOST_NAME.fullmatch(here) else [])])
    try:
        return ensure_certificates(directory, names=list(every), now=now, authority=authority, subject=SUBJECT)
    except OSError as error:
        raise TowpathError(
            f"certificate in {directory} cannot be kept ({type(error).__name__}): {error.strerror or error}"
        ) from error
