"""The parts of a build by hand, wired: the same builder, attestor and batch that CI has, without a running platform."""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from towpath.aio.clock import Clock
from towpath.blueprint.model import DEFAULT_BASE, SCRATCH_BASE
from towpath.build.cache import LayerCache
from towpath.build.host_base import host_platform
from towpath.ci.batch import Batch, Export, Watcher
from towpath.ci.manual import ManualBuild
from towpath.config import BUILD_DIRECTORY, STATE_DIRECTORY
from towpath.errors import NotFoundError
from towpath.oci.platform import Platform
from towpath.oci.reference import Reference
from towpath.server.buildorder import Found
from towpath.server.ci_adapters import ImageAttestor, ServiceBuilder
from towpath.server.ondemand import BuilderOnDemand, LinesOf, RegistryOnDemand

if TYPE_CHECKING:
    from towpath.build.builder import Builder
    from towpath.ci.manual_push import ManualPush
    from towpath.ociclient.client import RegistryClient


@dataclass(frozen=True, slots=True)
class Tools:
    """What the user chose for a build.

    Attributes:
        address: `host:port` of the platform's own registry, which its own credentials open.
        platforms: what to build for.
        authfile: the file with the logins to registries; None for docker's or podman's.
        key: the file with the key to sign with; None for the platform's own, if it has one.
        engine: what builds Dockerfiles, whatever the blueprint says; empty for what it says.
        push: whether the images are to be published.
    """

    address: str
    platforms: Sequence[Platform]
    authfile: Path | None = None
    key: Path | None = None
    engine: str = ""
    push: bool = False


@dataclass(frozen=True, slots=True)
class Workshop:
    """Both halves of a build by hand; the second one where it is wanted."""

    building: ManualBuild
    pushing: "ManualPush | None"


@asynccontextmanager
async def open_workshop(
    root: Path,
    found: Found,
    tools: Tools,
    *,
    clock: Clock,
    watcher: Watcher,
    environ: Mapping[str, str],
    lines_of: LinesOf,
) -> AsyncIterator[Workshop]:
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

        async def open_client() -> "RegistryClient":
            # For a push, or for a base that is not in the cache.
            from towpath.server.registryclient import open_registry_client  # noqa: PLC0415

            return await open_registry_client(
                state, _registries(found), own=tools.address, authfile=tools.authfile, environ=environ, clock=clock
            )

        registry = RegistryOnDemand(open_client)
        stack.push_async_callback(registry.close)
        if tools.push or tools.authfile:
            await registry.client()  # logins that cannot be read are said before anything is built
        cache = LayerCache(state / BUILD_DIRECTORY)

        def make_builder() -> "Builder":
            # For what was not built before.
            from towpath.server import building  # noqa: PLC0415

            return building.make_builder(
                state, registry, clock=clock, environ=environ, engine=tools.engine, lines_of=lines_of
            )

        builder = BuilderOnDemand(cache, registry, make_builder)
        attestor = _make_attestor(state, registry, tools, environ) if tools.push or tools.key else None
        services = ServiceBuilder(builder, platforms=tools.platforms, source_url=found.source_url, attestor=attestor)
        batch = Batch(services, _export_of(found), clock=clock, parallel=os.cpu_count() or 1, watcher=watcher)
        workdir = stack.enter_context(cache.staging())
        pushing = _make_push(batch, services, await registry.client(), found, tools, workdir) if tools.push else None
        yield Workshop(ManualBuild(batch, workdir=workdir), pushing)


def _make_attestor(state: Path, registry: RegistryOnDemand, tools: Tools, environ: Mapping[str, str]) -> ImageAttestor:
    # Signing loads a library for it; also without a push, a key that cannot be used is said at once.
    from towpath.server.attesting import make_attestor  # noqa: PLC0415

    return make_attestor(state, registry, environ=environ, key=tools.key)


def _make_push(
    batch: Batch, services: ServiceBuilder, client: "RegistryClient", found: Found, tools: Tools, workdir: Path
) -> "ManualPush":
    # Only a push asks the registry what it has.
    from towpath.ci.manual_push import ManualPush  # noqa: PLC0415
    from towpath.ci.planning import Planner  # noqa: PLC0415
    from towpath.ci.publication import Publication  # noqa: PLC0415
    from towpath.ci.signing import Signing  # noqa: PLC0415

    # What CI built is for this machine's platform; another one's images are taken from nowhere.
    ours = found.trees is not None and tuple(tools.platforms) == (host_platform(),)
    if found.trees is None or not ours:
        return ManualPush(batch, client, builder=services)
    planner = Planner(found.trees, Publication(client))
    signing = Signing(services, found.trees, workdir=workdir)
    return ManualPush(batch, client, builder=services, planner=planner, signing=signing)


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


def _export_of(found: Found) -> Export:
    async def export(commit: str, path: str, destination: Path) -> None:
        if found.repository is None:
            raise NotFoundError(f"commit {commit} was not found (NotFound): there is no repository")
        await found.repository.export(commit, path, destination)

    return export
