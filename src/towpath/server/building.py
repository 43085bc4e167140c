"""The builder of a state directory, as CI and builds by hand have it. The engines of Dockerfiles: `engines`.

build/           layers, and below it what engines without a daemon keep
build-secrets/   what steps of Dockerfiles may read, a file a secret
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from towpath.aio.clock import Clock
from towpath.build.builder import Builder
from towpath.build.registry import BuildRegistry
from towpath.config import BUILD_DIRECTORY
from towpath.server.ondemand import DockerfilesOnDemand, LinesOf

if TYPE_CHECKING:
    from towpath.build.dockerfile import DockerfileBuilder


def make_builder(
    state: Path,
    registry: BuildRegistry,
    *,
    clock: Clock,
    environ: Mapping[str, str],
    engine: str = "",
    lines_of: LinesOf | None = None,
) -> Builder:
    """The builder.

    Args:
        state: the platform's directory.
        registry: the client for bases and pushes.
        clock: the time.
        environ: what programs that it starts may know.
        engine: wins over what blueprints say of Dockerfiles, unless it is empty.
        lines_of: who is told what an engine prints for a service; the log when not given.
    """

    def make_dockerfiles() -> "DockerfileBuilder":
        # Most services are no Dockerfiles, and then no engine is looked for.
        from towpath.server.engines import make_dockerfile_builder  # noqa: PLC0415

        return make_dockerfile_builder(state, environ=environ, engine=engine, lines_of=lines_of)

    dockerfiles = DockerfilesOnDemand(make_dockerfiles)
    return Builder(
        cache=state / BUILD_DIRECTORY, registry=registry, clock=clock, dockerfiles=dockerfiles, environ=environ
    )
