"""The parts of a build by hand, wired: the same builder, attestor and batch that CI has, without a running platform."""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from towpath.aio.clock import Clock
from towpath.blueprint.model import DEFAULT_BASE, SCRATCH_BASE
from towpath.build.cache import LayerCache
from towpath.build.dockerfile import LinesOf, log_line
from towpath.build.host_base import host_platform
from towpath.ci.batch import Batch, Export, Watcher
from towpath.ci.manual import ManualBuild
from towpath.ci.planning import Planner
from towpath.ci.publication import Publication
from towpath.config import STATE_DIRECTORY
from towpath.errors import NotFoundError
from towpath.oci.platform import Platform
from towpath.oci.reference import Reference
from towpath.ociclient.client import RegistryClient
from towpath.server.building import BUILD_DIRECTORY, make_attestor, make_builder
from towpath.server.buildorder import Found
from towpath.server.ci_adapters import ServiceBuilder
from towpath.server.registryclient import open_registry_client


@dataclass(frozen=True, slots=True)
class Tools:
    """What the user chose for a build.

    Attributes:
        address: `host:port` of the platform's own registry, which its own credentials open.
        platforms: what to build for.
        authfile: the file with the logins to registries; None for docker's or podman's.
        key: the file with the key to sign with; None for the platform's own, if it has one.
        engine: what builds Dockerfiles, whatever the blueprint says; empty for what it says.
    """

    address: str
    platforms: Sequence[Platform]
    authfile: Path | None = None
    key: Path | None = None
    engine: str = ""


@asynccontextmanager
async def open_workshop(
    root: Path,
    found: Found,
    tools: Tools,
    *,
    clock: Clock,
    watcher: Watcher,
    environ: Mapping[str, str],
    lines_of: LinesOf = log_line,
) -> AsyncIterator[ManualBuild]:
    """Everything that a build needs, until the block ends.

    Raises:
        UserError: the logins or the platform's credentials cannot be read.
        KeyFileError: the key cannot be used.
    """
    async with AsyncExitStack() as stack:
        if found.repository is not None:
            stack.push_async_callback(found.repository.close)
        state = root / STATE_DIRECTORY
        _make_state(state)
        client = await open_registry_client(
            state, _registries(found), own=tools.address, authfile=tools.authfile, environ=environ, clock=clock
        )
        stack.push_async_callback(client.close)
        builder = make_builder(state, client, clock=clock, environ=environ, engine=tools.engine, lines_of=lines_of)
        attestor = make_attestor(state, client, environ=environ, key=tools.key)
        services = ServiceBuilder(builder, platforms=tools.platforms, source_url=found.source_url, attestor=attestor)
        batch = Batch(services, _export_of(found), clock=clock, parallel=os.cpu_count() or 1, watcher=watcher)
        workdir = stack.enter_context(LayerCache(state / BUILD_DIRECTORY).staging())
        yield ManualBuild(batch, client, workdir=workdir, planner=_planner(found, tools, client))


def _make_state(state: Path) -> None:
    """The state directory, which Git must not take for part of the work tree."""
    if not state.exists():
        state.mkdir(mode=0o700)
        (state / ".gitignore").write_text("*\n")


def _registries(found: Found) -> set[str]:
    """Those that the images go to and that the bases come from."""
    bases = {service.base for service in found.order.services} - {DEFAULT_BASE, SCRATCH_BASE}
    own = found.order.snapshot.blueprint.registry.partition("/")[0]
    return {own, *(Reference.parse(base).registry for base in bases)}


def _planner(found: Found, tools: Tools, client: RegistryClient) -> Planner | None:
    """What CI built is for this machine's platform; another one's images are taken from nowhere."""
    if found.trees is None or tuple(tools.platforms) != (host_platform(),):
        return None
    return Planner(found.trees, Publication(client))


def _export_of(found: Found) -> Export:
    async def export(commit: str, path: str, destination: Path) -> None:
        if found.repository is None:
            raise NotFoundError(f"commit {commit} was not found (NotFound): there is no repository")
        await found.repository.export(commit, path, destination)

    return export
