"""The registry client of a person at the command line.

The platform's own registry is opened by its own credentials, and trusted as it says while it runs; every other one is
opened by the logins of docker and podman and trusted as the system does.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from towpath.aio.clock import Clock
from towpath.errors import UserError
from towpath.http.hosts import is_loopback
from towpath.oci.keyring import Credential, Keyring
from towpath.ociclient.client import RegistryClient
from towpath.ociclient.logins import find_login_file, read_logins
from towpath.server import credentials
from towpath.server.credentials import ADMIN
from towpath.server.encryption import trusting
from towpath.server.runfile import RunInfo, read_run_info


async def open_registry_client(
    state: Path | None,
    registries: Iterable[str],
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
        UserError: logins or credentials cannot be read.
        CredentialHelperError: a helper failed.
    """
    running = _find_running(state)
    own = (running.registry or urlsplit(running.url).netloc) if running else own
    trust = trusting(Path(running.trusted)) if running and running.trusted else None

    def speaks_plain_http(registry: str) -> bool:
        if running and registry == own:
            return running.registry_plain_http
        return is_loopback(registry)

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
