"""The registry client of a person at the command line.

The platform's own registry is opened by its own credentials, and trusted as it says while it runs; every other one is
opened by the logins of docker and podman and trusted by the system's authorities and those that are kept for it. A
client is for the few registries of one command, so what is trusted for one of them is trusted for all.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from towpath.aio.clock import Clock
from towpath.errors import UserError
from towpath.oci.keyring import Credential, Keyring
from towpath.ociclient.client import RegistryClient
from towpath.ociclient.logins import find_login_file, read_logins
from towpath.server import credentials
from towpath.server.authorities import find_authorities, list_directories
from towpath.server.credentials import ADMIN
from towpath.server.runfile import RunInfo, read_run_info


async def open_registry_client(
    state: Path | None,
    registries: Collection[str],
    *,
    own: str = "",
    authfile: Path | None = None,
    environ: Mapping[str, str],
    clock: Clock,
) -> RegistryClient:
    """A client for these registries (`host[:port]`); the caller closes it.

    Args:
        state: the platform's state directory; None outside of a platform repository.
        registries: which ones it is for: helpers are asked for no others.
        own: the platform's own registry, should it not run.
        authfile: the file with the logins; None for docker's or podman's.
        environ: the user's environment.
        clock: paces retries.

    Raises:
        UserError: logins, credentials or certificates cannot be read.
        CredentialHelperError: a helper failed.
    """
    running = _find_running(state)
    own = (running.registry or urlsplit(running.url).netloc) if running else own
    others = [registry for registry in registries if not running or registry != own]
    authorities = find_authorities(others, list_directories(environ))
    trust = authorities.trust(*([Path(running.trusted)] if running and running.trusted else []))

    def speaks_plain_http(registry: str) -> bool:
        if running and registry == own:
            return running.registry_plain_http
        return authorities.speaks_plain_http(registry)

    file = find_login_file(environ, home=Path(environ.get("HOME", "/")), named=authfile)
    keyrings = []
    for registry in sorted(set(registries)):
        if registry == own and state is not None and (state / credentials.FILE).exists():
            keyrings.append(Keyring.of({registry: Credential(ADMIN, credentials.read(state).admin_token)}))
        else:
            keyrings.append(await read_logins(file, registry))
    return RegistryClient(keyring=Keyring.merge(keyrings), plain_http=speaks_plain_http, trust=trust, clock=clock)


def _find_running(state: Path | None) -> RunInfo | None:
    if state is None:
        return None
    try:
        return read_run_info(state)
    except UserError:
        return None
