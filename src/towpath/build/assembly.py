"""Lays a service's layers upon its base, what changes least first: packages, a static site's server, its own files.

Two keys make an unchanged layer free. The metadata key (names, sizes, times) recognises a directory as it was; the tree
key (Git's tree id) recognises the same content anywhere. A metadata key is only kept for files that had been left alone
for a while, because a write within the resolution of the file system's clock would go unseen.

Everything here blocks; callers run it in a thread.
"""

from dataclasses import replace

from towpath.aio.clock import Clock
from towpath.build.base_contents import read_contents
from towpath.build.binary import check_program, other_programs, program_of
from towpath.build.cache import Layer, LayerCache, cache_errors
from towpath.build.compression import compressor_name
from towpath.build.context import RACY_SECONDS, Context
from towpath.build.dependencies import DependencyLayer
from towpath.build.entries import BuildError, Entry
from towpath.build.host_base import HOST
from towpath.build.image import AddedLayer, Base, BuildRequest, LayerBlob, Parts, Start
from towpath.build.installed import BIN, DEPENDENCIES
from towpath.build.layer import write_layer
from towpath.build.recipes import APP_DIRECTORY, Recipe, RecipeKind
from towpath.build.rules import LAYER_RULES
from towpath.build.static import server_command, server_entries
from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest


class Assembly:
    """Makes layers of what was read and pulled."""

    def __init__(self, cache: LayerCache, clock: Clock) -> None:
        self._cache = cache
        self._clock = clock

    def assemble(
        self, request: BuildRequest, context: Context, recipe: Recipe, base: Base, packages: DependencyLayer | None
    ) -> Parts:
        """What is laid upon the base of a service that is no Dockerfile.

        Raises:
            BuildError: its program cannot run on the base, or there is nothing to serve.
            ContextError: a file vanished or changed meanwhile.
            CacheError: no space, or no permission.
        """
        service = request.service
        start = Start(recipe.entrypoint, recipe.into, recipe.import_path)
        added: list[AddedLayer] = []
        cached = True
        left_out: frozenset[str] = frozenset()
        if packages is not None:
            start = _with_packages(start, packages)
            added.append(self._added(packages.layer, "towpath packages", shared=True))
            cached = packages.cached
        if recipe.kind is RecipeKind.STATIC and not recipe.entrypoint:
            start, server = self._serve(request, recipe, base)
            added += server
        if recipe.kind is RecipeKind.BINARY:
            left_out = other_programs(service, request.platform, context.names())
            program = self._check_program(request, base)
            start = replace(start, entrypoint=recipe.entrypoint or (f"{APP_DIRECTORY}/{program}",))
        layer, layer_cached = self._own_layer(context, request, recipe, left_out)
        added.append(self._added(layer, f"towpath build {service.name}"))
        parts = Parts(tuple(added), start, cached=cached and layer_cached)
        return parts if packages is None else _told_of_packages(parts, packages, base)

    def _serve(self, request: BuildRequest, recipe: Recipe, base: Base) -> tuple[Start, list[AddedLayer]]:
        if base.name != HOST:
            return Start((), ""), []  # the base's own server, as the base starts it
        entries = server_entries()
        key = f"server {LAYER_RULES} {compressor_name()} {Digest.of(entries[0].content)}"
        layer = self._cache.find(key)
        if layer is None:
            layer = self._write(entries)
            self._cache.put(key, layer)
        start = Start(server_command(request.service, recipe), recipe.into)
        return start, [self._added(layer, "towpath static server", shared=True)]

    def _check_program(self, request: BuildRequest, base: Base) -> str:
        program = program_of(request.service, request.platform)
        check_program(
            request.service,
            request.platform,
            request.context / program,
            shown=f"{request.service.path}/{program}",
            libraries=read_contents(self._cache, base).libraries if base.layers else frozenset(),
        )
        return program

    def _own_layer(
        self, context: Context, request: BuildRequest, recipe: Recipe, left_out: frozenset[str]
    ) -> tuple[Layer, bool]:
        """The layer of the service's own files, and whether it was there already."""
        rules = f"layer {LAYER_RULES} {compressor_name()} {recipe.root} {recipe.into} {sorted(left_out)}"
        # A directory with a tree id is an export, made a moment ago: only its tree can be recognised.
        place = f"{request.context.resolve()} {context.metadata_key}"
        key = f"{rules} tree {request.tree_id}" if request.tree_id else f"{rules} metadata {place}"
        layer = self._cache.find(key)
        if layer is not None:
            return layer, True
        entries = [
            replace(entry, path=f"{recipe.into.lstrip('/')}/{inner}")
            for entry in context.entries
            if entry.path not in left_out and (inner := _below(entry.path, recipe.root))
        ]
        if not entries:
            name = request.service.name
            raise BuildError(
                f"service {name} has nothing to serve (StaticEmpty): {request.service.path}/{recipe.root} has no file",
                hint=f"set services.{name}.static to the directory of the files",
            )
        layer = self._write(entries)
        if request.tree_id or self._clock.now() - context.newest_change > RACY_SECONDS:
            self._cache.put(key, layer)
        return layer, not layer.fresh

    def _write(self, entries: list[Entry]) -> Layer:
        with cache_errors(self._cache.blobs):
            return write_layer(entries, self._cache.blobs)

    def _added(self, layer: Layer, created_by: str, *, shared: bool = False) -> AddedLayer:
        descriptor = Descriptor(media.OCI_LAYER_GZIP, layer.digest, layer.size)
        return AddedLayer(LayerBlob(descriptor, self._cache.path(layer.digest), shared), layer.diff_id, created_by)


def _told_of_packages(parts: Parts, packages: DependencyLayer, base: Base) -> Parts:
    missing = ", ".join(packages.missing)
    warnings = (f"packages need {missing}, which base {base.name} does not have: they may not import",)
    return replace(parts, packages=packages.packages, warnings=warnings if missing else ())


def _below(path: str, root: str) -> str:
    """A path relative to a directory; empty when it is not below it."""
    if root == ".":
        return path
    return path.removeprefix(f"{root}/") if path.startswith(f"{root}/") else ""


def _with_packages(start: Start, packages: DependencyLayer) -> Start:
    """Packages are imported after the service's own modules; their scripts are started by the image's Python."""
    entrypoint = start.entrypoint
    if entrypoint and entrypoint[0] in packages.scripts:
        entrypoint = ("python3", f"{BIN}/{entrypoint[0]}", *entrypoint[1:])
    # The service's own directory too: a script of a package has its own directory at the front, not ours.
    own = start.import_path or (APP_DIRECTORY,)
    return replace(start, entrypoint=entrypoint, import_path=(*own, DEPENDENCIES), program_path=(BIN,))
