"""The builder and the attestor of a state directory, as CI and builds by hand have them.

build/           layers, and below it what engines without a daemon keep
build-secrets/   what steps of Dockerfiles may read, a file a secret
keys/            what signs attestations
"""

import os
from collections.abc import Mapping
from pathlib import Path

from towpath.aio.clock import Clock
from towpath.attest.keyfiles import KEYS_DIRECTORY, find_signer, read_signer
from towpath.attest.keys import PrivateKey
from towpath.build.attestations import Attestor
from towpath.build.builder import Builder
from towpath.build.cache import LayerCache
from towpath.build.dockerfile import DockerfileBuilder, LinesOf, log_line
from towpath.build.engines.choice import Engines
from towpath.build.host_base import host_platform
from towpath.build.registry import AttestationRegistry, BuildRegistry
from towpath.oci.platform import Platform
from towpath.ociclient.client import RegistryClient
from towpath.server.ci_adapters import ServiceBuilder

BUILD_DIRECTORY = "build"
SECRETS_DIRECTORY = "build-secrets"
ENGINES_DIRECTORY = "engines"


def make_builder(
    state: Path,
    registry: BuildRegistry,
    *,
    clock: Clock,
    environ: Mapping[str, str],
    engine: str = "",
    lines_of: LinesOf = log_line,
) -> Builder:
    """The builder.

    Args:
        state: the platform's directory.
        registry: the client for bases and pushes.
        clock: the time.
        environ: what programs that it starts may know.
        engine: wins over what blueprints say of Dockerfiles, unless it is empty.
        lines_of: who is told what an engine prints for a service.
    """
    directory = state / BUILD_DIRECTORY
    engines = Engines(store=directory / ENGINES_DIRECTORY, environ=environ, host=host_platform())
    dockerfiles = DockerfileBuilder(
        cache=LayerCache(directory),
        engines=engines,
        secrets=state / SECRETS_DIRECTORY,
        engine=engine,
        lines_of=lines_of,
    )
    return Builder(cache=directory, registry=registry, clock=clock, dockerfiles=dockerfiles, environ=environ)


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
