"""The authorities that registries of other people are believed by, beside the system's: where podman and docker look.

A directory of the registry's name (`certs.d/registry.lan:5000`) holds them as `*.crt`, as containers-certs.d(5) says;
the first that exists is used. A registry on loopback that has one is spoken to by TLS, which it else is not.
"""

import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from towpath.errors import UserError
from towpath.http.hosts import is_loopback

SYSTEM_DIRECTORIES = (Path("/etc/containers/certs.d"), Path("/etc/docker/certs.d"))


@dataclass(frozen=True, slots=True)
class Authorities:
    """What is kept for some registries: files by `host[:port]`."""

    files: Mapping[str, Sequence[Path]]

    def speaks_plain_http(self, registry: str) -> bool:
        """Whether a registry is spoken to without TLS."""
        return is_loopback(registry) and not self.files.get(registry)

    def trust(self, *own: Path) -> ssl.SSLContext | None:
        """What to believe: the system's authorities, these, and those in more files; None where the system's are all.

        Raises UserError when a file cannot be used.
        """
        found = [*own, *(file for files in self.files.values() for file in files)]
        return trusting(*found) if found else None


def list_directories(environ: Mapping[str, str]) -> list[Path]:
    """Where a person keeps them, then where the machine does."""
    home = environ.get("HOME", "")
    configuration = environ.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else "")
    own = [Path(configuration) / "containers" / "certs.d"] if configuration else []
    return [*own, *SYSTEM_DIRECTORIES]


def find_authorities(registries: Iterable[str], directories: Sequence[Path]) -> Authorities:
    """What is kept for these registries."""
    return Authorities({registry: _find_files(registry, directories) for registry in registries})


def trusting(*files: Path) -> ssl.SSLContext:
    """The system's authorities, and what is in files, be it an authority or a single certificate.

    Raises UserError when a file cannot be used.
    """
    context = ssl.create_default_context()
    for file in files:
        try:
            context.load_verify_locations(cafile=file)
        except (OSError, ssl.SSLError) as error:
            raise UserError(f"certificate {file} cannot be used (BadCertificate): {error}") from error
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _find_files(registry: str, directories: Sequence[Path]) -> list[Path]:
    # A name that leaves its directory names no registry; a reference cannot have it, but an option may.
    if "/" in registry or registry in {"", ".", ".."}:
        return []
    found = next((place / registry for place in directories if (place / registry).is_dir()), None)
    return sorted(found.glob("*.crt")) if found else []
