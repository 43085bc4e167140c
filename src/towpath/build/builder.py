"""The daemonless builder: from a service's directory to an image.

    1. read the directory, decide the recipe
    2. the base: made here (`host`), nothing (`scratch`), or pulled
    3. the layers upon it, what changes least first: packages, the server of a static site, the service's own files
    4. configuration and manifest, in memory

Layers are written in threads; several builds, and several builders on one cache, may run at once. The kinds of
services: `recipes`; steps 3 and 4: `assembly`, `dependencies`; pushing: `pusher`.
"""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from towpath.aio.clock import Clock
from towpath.build.assembly import Assembly
from towpath.build.base_contents import read_contents
from towpath.build.bases import Bases
from towpath.build.cache import LayerCache
from towpath.build.context import Context, read_context
from towpath.build.dependencies import Dependencies, DependencyLayer, Target
from towpath.build.entries import BuildError
from towpath.build.host_base import HOST
from towpath.build.host_files import Interpreter
from towpath.build.image import Base, BuildRequest, BuiltImage, compose
from towpath.build.index import BuiltIndex
from towpath.build.lockfiles import Lock, check_project, find_lock, parse_lock
from towpath.build.recall import Recall
from towpath.build.recipes import PROJECT_FILE, Recipe, RecipeKind, check_base, choose_recipe
from towpath.build.registry import BuildRegistry, OnSent, ignore_sent
from towpath.oci.digest import Digest
from towpath.oci.platform import Platform
from towpath.oci.reference import Reference

# An hour: the cache grows by kilobytes per build, and a sweep looks at every file.
_PRUNE_SECONDS = 3600.0


class DockerfileImages(Protocol):
    """Whoever builds Dockerfiles."""

    async def build(self, request: BuildRequest, dockerfile: str, /) -> BuiltImage:
        """Build one; its layers end in the builder's cache. Raises BuildError and RemoteError."""
        ...


class Builder:
    """Builds and pushes the images of services."""

    def __init__(
        self,
        *,
        cache: Path,
        registry: BuildRegistry,
        clock: Clock,
        interpreter: Interpreter | None = None,
        dockerfiles: DockerfileImages | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """Set up a builder.

        Args:
            cache: directory of the layer cache; created when missing.
            registry: the client for bases and pushes.
            clock: wall time decides what is too fresh to be trusted and when to prune.
            interpreter: what the base `host` is made of; the running one when not given.
            dockerfiles: builds services that are Dockerfiles; without it they are refused.
            environ: where the way to a package index is looked up; this process's when not given.
        """
        self._cache = LayerCache(cache)
        self._clock = clock
        self._registry = registry
        self._bases = Bases(self._cache, registry, interpreter=interpreter)
        self._recall = Recall(self._cache, self._bases)
        self._dockerfiles = dockerfiles
        self._dependencies = Dependencies(self._cache, os.environ if environ is None else environ)
        self._assembly = Assembly(self._cache, clock)
        self._pruned_at = float("-inf")

    async def prepare(self, platform: Platform) -> None:
        """Make the base `host` ahead of the first build.

        Raises:
            BuildError: it cannot be made on this machine.
            CacheError: no space, or no permission.
        """
        await asyncio.to_thread(self._cache.prepare)
        await self._bases.get(HOST, platform)

    async def find(self, request: BuildRequest) -> BuiltImage | None:
        """The image of a tree that was built before: see `Recall.find`; the request's directory need not exist."""
        return await self._recall.find(request)

    async def build(self, request: BuildRequest) -> BuiltImage:
        """Build a service's image; nothing of it reaches a registry yet.

        Raises:
            BuildError: the directory or the blueprint's entry cannot become an image.
            RemoteError: the base, or a package, cannot be had.
            IntegrityError: a package is not the one that its lock names.
            CacheError: no space, or no permission.
        """
        context, recipe, project = await asyncio.to_thread(self._read, request)
        if recipe.kind is RecipeKind.DOCKERFILE:
            if self._dockerfiles is None:
                raise _no_engine(request, recipe)
            return await self._dockerfiles.build(request, recipe.dockerfile)
        check_base(request.service, recipe)
        lock = _find_lock(request, recipe, context, project)
        base = await self._bases.get(request.service.base, request.platform)
        packages = await self._install(request, base, lock) if lock else None
        if lock is not None:
            context = context.without(lock.vendored(context.names()))
        parts = await asyncio.to_thread(self._assembly.assemble, request, context, recipe, base, packages)
        parts = replace(parts, lock=f"{lock.name} {Digest.of(lock.content)}" if lock else "")
        await asyncio.to_thread(self._recall.keep, request, base, parts)
        await self._prune()
        return compose(request, base, parts)

    async def push(
        self, image: BuiltImage | BuiltIndex, reference: Reference, *, on_sent: OnSent = ignore_sent
    ) -> bool:
        """Put an image into a registry: under the reference's tag, or by digest alone; whether anything was sent.

        Raises:
            RemoteError: the registry cannot be reached or refuses.
            IntegrityError: a cached layer is damaged; it is forgotten, and building again mends it.
        """
        # Brings what a registry may answer, and most builds by hand push nothing.
        from towpath.build.pusher import Pusher  # noqa: PLC0415

        return await Pusher(self._cache, self._registry).push(image, reference, on_sent=on_sent)

    def _read(self, request: BuildRequest) -> tuple[Context, Recipe, str]:
        """The service's directory. Blocks."""
        self._cache.prepare()
        context = read_context(request.context, label=request.service.path, only=request.only)
        names = context.names()
        project = _read_file(request, PROJECT_FILE).decode(errors="replace") if PROJECT_FILE in names else ""
        return context, choose_recipe(request.service, names, project), project

    async def _install(self, request: BuildRequest, base: Base, lock: Lock) -> DependencyLayer:
        contents = await asyncio.to_thread(read_contents, self._cache, base)
        compiler = self._bases.interpreter().executable if base.name == HOST else None
        target = Target(base, contents, request.platform, compiler)
        return await self._dependencies.install(lock, request.context, target)

    async def _prune(self) -> None:
        if self._clock.monotonic() - self._pruned_at > _PRUNE_SECONDS:
            self._pruned_at = self._clock.monotonic()
            await asyncio.to_thread(self._cache.prune, self._clock.now())


def _find_lock(request: BuildRequest, recipe: Recipe, context: Context, project: str) -> Lock | None:
    """The packages a Python service needs; None when it needs none."""
    if recipe.kind is not RecipeKind.PYTHON:
        return None
    name = find_lock(request.service, context.names())
    if not name:
        check_project(request.service, project)
        return None
    lock = parse_lock(request.service, name, _read_file(request, name))
    return lock if lock.packages else None


def _read_file(request: BuildRequest, name: str) -> bytes:
    try:
        return (request.context / name).read_bytes()
    except OSError as error:
        shown = f"{request.service.path}/{name}"
        raise BuildError(f"{shown} cannot be read (ContextUnreadable): {error.strerror or error}") from error


def _no_engine(request: BuildRequest, recipe: Recipe) -> BuildError:
    name = request.service.name
    return BuildError(
        f"service {name} cannot be built from {recipe.dockerfile} (EngineMissing): nothing here builds Dockerfiles",
        hint=f"add a main.py, or set services.{name}.entrypoint and base in towpath.yaml",
    )
