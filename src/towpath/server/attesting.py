"""The attestor of a state directory, and the builder of CI, whose images it attests.

keys/   what signs attestations
"""

import os
from collections.abc import Mapping
from pathlib import Path

from towpath.aio.clock import Clock
from towpath.attest.keyfiles import KEYS_DIRECTORY, find_signer, read_signer
from towpath.attest.keys import PrivateKey
from towpath.build.attestations import Attestor
from towpath.build.cache import LayerCache
from towpath.build.registry import AttestationRegistry
from towpath.config import BUILD_DIRECTORY
from towpath.oci.platform import Platform
from towpath.ociclient.client import RegistryClient
from towpath.server.building import make_builder
from towpath.server.ci_adapters import ServiceBuilder


def make_attestor(
    state: Path, registry: AttestationRegistry, *, environ: Mapping[str, str], key: Path | None = None
) -> Attestor:
    """The attestor; it signs with the key in a file, else with the platform's own, if it has one.

    Raises:
        KeyFileError: the key in that file cannot be used.
    """
    given = read_signer(key, environ) if key else None

    def choose_signer() -> PrivateKey | None:
        return given or find_signer(state / KEYS_DIRECTORY, environ)

    return Attestor(cache=LayerCache(state / BUILD_DIRECTORY), registry=registry, find_signer=choose_signer)


def make_services(
    state: Path, client: RegistryClient, *, clock: Clock, platform: Platform, source_url: str
) -> ServiceBuilder:
    """What CI builds with: for one platform, attested, with this process's environment."""
    builder = make_builder(state, client, clock=clock, environ=os.environ)
    attestor = make_attestor(state, client, environ=os.environ)
    return ServiceBuilder(builder, platforms=[platform], source_url=source_url, attestor=attestor)
