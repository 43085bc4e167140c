"""Builds a service from its Dockerfile: chooses an engine, lets it write a layout, and makes an ordinary image of that.

1. The engine: the one that is asked for, or the first that works.
2. Secrets: files in one directory of this machine, by name.
3. The engine builds into a layout below the cache, its output going to the log.
4. The layout's image is taken over into the cache.
5. Labels, version and commit are added, and what identifies the engine is taken out; the manifest is ours.

From there on it is pushed and attested as every other image.
"""

import asyncio
import logging
import shutil
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from towpath.aio.clock import format_rfc3339
from towpath.blueprint.model import COMMIT_VARIABLE, VERSION_VARIABLE, Service
from towpath.build.cache import LayerCache
from towpath.build.engines.engine import DockerfileBuild, Engine, OnLine
from towpath.build.entries import BuildError
from towpath.build.image import Base, BuildRequest, BuiltImage, image_labels, merge_config
from towpath.build.imported import ImportedImage, import_layout
from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.image import ImageConfig
from towpath.oci.manifest import Manifest, format_manifest

log = logging.getLogger(__name__)

# What engines write about themselves: another version of one would be another image.
_ENGINE_LABELS = frozenset({"io.buildah.version"})
_READ_BY_OTHERS = stat.S_IRGRP | stat.S_IROTH


class EngineChoice(Protocol):
    """Where engines come from; `engines.choice.Engines` satisfies it."""

    async def choose(self, name: str, build: DockerfileBuild) -> Engine:
        """The engine of that name, or any. Raises EngineMissingError."""
        ...


# By service: whoever is told the lines that its engine prints.
LinesOf = Callable[[str], OnLine]


def log_line(service: str) -> OnLine:
    """Passes an engine's lines to the log."""
    return lambda line: log.info("%s: %s", service, line)


class DockerfileBuilder:
    """`build.builder.DockerfileImages` over the engines of this machine."""

    def __init__(
        self,
        *,
        cache: LayerCache,
        engines: EngineChoice,
        secrets: Path,
        engine: str = "",
        lines_of: LinesOf = log_line,
    ) -> None:
        """Set up.

        Args:
            cache: where layers end.
            engines: chooses.
            secrets: the directory of build secrets; need not exist.
            engine: wins over the blueprint's unless it is empty.
            lines_of: who is told what the engine prints for a service.
        """
        self._cache = cache
        self._engines = engines
        self._secrets = secrets
        self._engine = engine
        self._lines_of = lines_of

    async def build(self, request: BuildRequest, dockerfile: str) -> BuiltImage:
        """Build a Dockerfile, relative to the service's directory.

        Raises:
            EngineMissingError: nothing here can build it.
            EngineFailedError: a step failed, or the engine did.
            BuildError: a secret is missing or open to others.
            CacheError: no space, or no permission.
        """
        service = request.service
        secrets = await asyncio.to_thread(find_secrets, self._secrets, service)
        with self._cache.staging() as work:
            context = request.context
            if request.only is not None:
                context = await asyncio.to_thread(_copy_context, request.context, request.only, work / "context")
            asked = DockerfileBuild(
                context=context.resolve(),
                dockerfile=dockerfile,
                platform=request.platform,
                epoch=int(request.committed_at),
                target=service.target,
                arguments=service.build_args,
                secrets=secrets,
            )
            _check_inside(asked)
            engine = await self._engines.choose(self._engine or service.engine, asked)
            await engine.build(asked, work / "layout", self._lines_of(service.name))
            found = await asyncio.to_thread(import_layout, work / "layout", self._cache, request.platform)
        return compose_dockerfile_image(request, found, engine=f"{engine.name} {engine.version}")


def _check_inside(build: DockerfileBuild) -> None:
    """A link must not make an engine read, and print, a file of this machine as a Dockerfile."""
    path = (build.context / build.dockerfile).resolve()
    if not path.is_relative_to(build.context) or not path.is_file():
        raise BuildError(
            f"{build.dockerfile} cannot be used (DockerfileMissing): it is no file below the service's directory",
            hint="commit the Dockerfile itself, not a link to another place",
        )


def find_secrets(directory: Path, service: Service) -> dict[str, Path]:
    """The file of each secret that a service names.

    Raises:
        BuildError: a file is missing, or others may read it.
    """
    found = {}
    for name in service.secrets:
        path = directory / name
        try:
            mode = path.stat().st_mode
        except OSError as error:
            raise BuildError(
                f"service {service.name} needs the secret {name} (SecretMissing): {path} cannot be read: "
                f"{error.strerror or error}",
                hint=f"put it there on the machine that builds, with mode 0600: install -m 600 FILE {path}",
            ) from error
        if not stat.S_ISREG(mode) or mode & _READ_BY_OTHERS:
            raise BuildError(
                f"secret {name} of service {service.name} is not kept (SecretOpen): others may read {path}",
                hint=f"chmod 600 {path}",
            )
        found[name] = path.resolve()
    return found


def compose_dockerfile_image(request: BuildRequest, found: ImportedImage, *, engine: str) -> BuiltImage:
    """Configuration and manifest of an engine's image, with what ties it to its commit."""
    created = format_rfc3339(request.committed_at)
    base = Base(found.base_name, found.base_digest, found.config, found.config_raw, found.layers)
    labels = image_labels(request, base, created)
    service = request.service
    told = {VERSION_VARIABLE: request.tag, COMMIT_VARIABLE: request.commit}
    config = replace(
        found.config,
        env={**found.config.env, **{name: value for name, value in told.items() if value}, **service.env},
        entrypoint=service.entrypoint or found.config.entrypoint,
        cmd=() if service.entrypoint else found.config.cmd,
        labels={**_without_engine(found.config), **labels},
        exposed_ports=found.config.exposed_ports or (f"{service.port}/tcp",),
        created=created,
    )
    config_raw = merge_config(found.config_raw, config)
    manifest = Manifest(
        config=Descriptor(media.OCI_CONFIG, Digest.of(config_raw), len(config_raw)),
        layers=tuple(blob.descriptor for blob in found.layers),
        annotations=labels,
    )
    raw = format_manifest(manifest)
    image = BuiltImage(raw, media.OCI_MANIFEST, Digest.of(raw), config_raw, found.layers, cached=found.cached)
    return replace(image, engine=engine)


def _without_engine(config: ImageConfig) -> dict[str, str]:
    return {name: value for name, value in config.labels.items() if name not in _ENGINE_LABELS}


def _copy_context(directory: Path, names: frozenset[str], target: Path) -> Path:
    """The files that count, and no others: a work tree has some that Git ignores."""
    target.mkdir()
    for name in sorted(names):
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(directory / name, copy, follow_symlinks=False)
    return target
