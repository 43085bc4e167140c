"""The registries from which this platform's own is filled (`pullthrough`) and mended (`keeper.repair`).

Both are told by the user as `PREFIX=REGISTRY[/PATH]`: `hub=docker.io` makes `hub/library/redis` a copy of Docker Hub's
`library/redis`; `lab=ghcr.io/me/lab` mends `lab/sensor` from where `towpath mirror to ghcr.io/me/lab` put it.
"""

import logging
import re
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from pathlib import Path

from towpath.aio.clock import Clock
from towpath.errors import UserError
from towpath.oci.digest import Digest
from towpath.oci.reference import InvalidReferenceError, Reference, parse_repository
from towpath.ociclient.client import RegistryClient
from towpath.ociclient.logins import read_logins
from towpath.registry.pullthrough import UpstreamError
from towpath.registry.upstream import RegistryUpstream
from towpath.server.authorities import SYSTEM_DIRECTORIES, find_authorities

log = logging.getLogger(__name__)


class Upstreams:
    """The other registries of one registry."""

    def __init__(
        self,
        *,
        fill: Sequence[str] = (),
        mend: Sequence[str] = (),
        logins: Path | None = None,
        certificates: Sequence[Path] = SYSTEM_DIRECTORIES,
        clock: Clock,
    ) -> None:
        """Read what the user said; nobody is asked yet.

        Args:
            fill: prefixes that are copies, as `PREFIX=REGISTRY[/PATH]`.
            mend: prefixes whose damaged blobs and manifests are fetched again, in the same form.
            logins: a file as docker or podman writes it; None to ask without a login.
            certificates: where the authorities of registries are kept, each in a directory of its registry's name.
            clock: paces retries.

        Raises:
            UserError: one of them is not of that form, or said twice.
        """
        self._fill = _parse(fill, "--upstream")
        self._mend = _parse(mend, "--mend-from")
        self._logins = logins
        self._certificates = certificates
        self._clock = clock
        self._clients: dict[str, RegistryClient] = {}
        # Filled by `start`: the registry is made before a login may be asked for.
        self.filling: dict[str, RegistryUpstream] = {}
        self._mending: dict[str, RegistryUpstream] = {}

    async def start(self) -> None:
        """Read the logins and the certificates. Raises UserError, CredentialHelperError."""
        for source, target in ((self._fill, self.filling), (self._mend, self._mending)):
            for prefix, address in source.items():
                target[prefix] = RegistryUpstream(await self._client(address), address)

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            await client.close()

    def warn_of_strangers(self, anonymous: Iterable[str]) -> None:
        """Say in the log which prefixes everybody may fill: what strangers name is fetched with the login, and kept."""
        for glob in anonymous:
            # Up to its first wildcard: one that may match below a prefix is one too many to stay silent on.
            start = re.split(r"[*?\[]", glob, maxsplit=1)[0]
            for prefix, address in self._fill.items():
                below = f"{prefix}/"
                if below.startswith(start) or start.startswith(below):
                    log.warning(
                        "--anonymous-pull %s lets everybody have this registry fetch and keep whatever %s has, "
                        "because of --upstream %s=%s",
                        glob,
                        address,
                        prefix,
                        address,
                    )

    def find_mender(self, repository: str) -> "Mender | None":
        """Where what a repository has is to be had again; None when nowhere."""
        prefix, _, rest = repository.partition("/")
        upstream = self._mending.get(prefix) or self.filling.get(prefix)
        return Mender(upstream, rest) if upstream is not None and rest else None

    async def _client(self, address: str) -> RegistryClient:
        registry = Reference.parse(f"{address}/any").registry
        if registry not in self._clients:
            keyring = await read_logins(self._logins, registry)
            authorities = find_authorities([registry], self._certificates)
            self._clients[registry] = RegistryClient(
                keyring=keyring,
                plain_http=authorities.speaks_plain_http,
                trust=authorities.trust(),
                clock=self._clock,
            )
        return self._clients[registry]


class Mender:
    """`registry.keeper.repair.Upstream` over one repository of an upstream."""

    def __init__(self, upstream: RegistryUpstream, repository: str) -> None:
        self._upstream = upstream
        self._repository = repository

    async def open_blob(self, repository: str, digest: Digest) -> AsyncGenerator[bytes, None]:
        """A blob's bytes. Raises UpstreamError."""
        pieces = await self._upstream.find_blob(self._repository, digest)
        if pieces is None:
            raise UpstreamError(f"blob {digest} of {repository} is not at {self._upstream.name}/{self._repository}")
        async for piece in pieces:
            yield piece

    async def get_manifest(self, repository: str, digest: Digest) -> tuple[bytes, str]:
        """A manifest and its media type. Raises UpstreamError."""
        found = await self._upstream.find_manifest(self._repository, digest)
        if found is None:
            raise UpstreamError(f"manifest {digest} of {repository} is not at {self._upstream.name}/{self._repository}")
        return found.content, found.media_type


def _parse(values: Sequence[str], option: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for value in values:
        prefix, equals, address = value.partition("=")
        try:
            parse_repository(prefix)
            Reference.parse(f"{address.rstrip('/')}/any")
            valid = bool(equals) and "/" not in prefix
        except InvalidReferenceError:
            valid = False
        if not valid:
            raise UserError(
                f"{option} {value!r} cannot be used (BadUpstream): expected PREFIX=REGISTRY[/PATH]",
                hint=f"as in {option} hub=docker.io",
            )
        if prefix in found:
            raise UserError(f"{option} {value!r} cannot be used (Twice): {prefix} is {found[prefix]} already")
        found[prefix] = address.rstrip("/")
    return found
