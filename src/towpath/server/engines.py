"""What builds the Dockerfiles of a state directory: the engines of this machine, wired."""

from collections.abc import Mapping
from pathlib import Path

from towpath.build.cache import LayerCache
from towpath.build.dockerfile import DockerfileBuilder, LinesOf, log_line
from towpath.build.engines.choice import Engines
from towpath.build.host_base import host_platform
from towpath.config import BUILD_DIRECTORY

SECRETS_DIRECTORY = "build-secrets"
ENGINES_DIRECTORY = "engines"


def make_dockerfile_builder(
    state: Path, *, environ: Mapping[str, str], engine: str = "", lines_of: LinesOf | None = None
) -> DockerfileBuilder:
    """The builder of Dockerfiles; the arguments are those of `building.make_builder`."""
    directory = state / BUILD_DIRECTORY
    return DockerfileBuilder(
        cache=LayerCache(directory),
        engines=Engines(store=directory / ENGINES_DIRECTORY, environ=environ, host=host_platform()),
        secrets=state / SECRETS_DIRECTORY,
        engine=engine,
        lines_of=lines_of or log_line,
    )
