"""The port of a Dockerfile engine, and the values that go over it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from towpath.build.entries import BuildError
from towpath.oci.platform import Platform

# Told each line that an engine prints, as it is printed.
OnLine = Callable[[str], None]


class EngineMissingError(BuildError):
    """No program that builds Dockerfiles is here, or not the one that was asked for."""


class EngineFailedError(BuildError):
    """An engine ran and did not make an image: most often a step of the Dockerfile failed."""


@dataclass(frozen=True, slots=True)
class DockerfileBuild:
    """What an engine is asked to build.

    Attributes:
        context: the directory.
        dockerfile: relative to it.
        platform: what to build for.
        epoch: SOURCE_DATE_EPOCH, in seconds; the commit's time.
        target: the stage; empty for the last.
        arguments: of the Dockerfile.
        secrets: the file of each secret, by its name; only names and paths are ever in an argument.
    """

    context: Path
    dockerfile: str
    platform: Platform
    epoch: int
    target: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine in this version can do.

    Attributes:
        repro: it sets the times of files in layers, so that the same steps give the same bytes.
        oci_out: it writes an OCI layout or archive.
        secrets: it gives files to steps without putting them into a layer.
        cache: it keeps the results of steps between builds.
        platforms: it builds for other platforms than its own.
    """

    repro: bool
    oci_out: bool
    secrets: bool
    cache: bool
    platforms: bool

    def lacking(self, build: DockerfileBuild, *, host: Platform) -> str:
        """What this build needs and the engine cannot do; empty when there is nothing."""
        if not self.oci_out:
            return "it cannot write an OCI image to a file"
        if build.secrets and not self.secrets:
            return "it knows no build secrets"
        if not self.platforms and not host.matches(build.platform):
            return f"it builds for {host} only"
        return ""


class Engine(Protocol):
    """A program that builds Dockerfiles."""

    @property
    def name(self) -> str:
        """As in the blueprint."""
        ...

    @property
    def version(self) -> str:
        """As it says itself."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...

    async def build(self, build: DockerfileBuild, layout: Path, on_line: OnLine) -> None:
        """Build into an absent directory, as an OCI layout with one image.

        Raises:
            EngineFailedError: it did not make an image.
        """
        ...
