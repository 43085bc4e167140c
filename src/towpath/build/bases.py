"""Where bases come from: made here (`host`), nothing (`scratch`), or pulled; each by one task at a time."""

import asyncio
from collections import defaultdict

from towpath.blueprint.model import SCRATCH_BASE
from towpath.build.cache import LayerCache
from towpath.build.host_base import HOST, prepare_host_base
from towpath.build.host_files import Interpreter
from towpath.build.image import Base
from towpath.build.registry import BaseRegistry
from towpath.build.scratch import scratch_base
from towpath.oci.platform import Platform


class Bases:
    """The bases of one cache."""

    def __init__(self, cache: LayerCache, registry: BaseRegistry, *, interpreter: Interpreter | None = None) -> None:
        """`interpreter` is what `host` is made of; the running one when not given."""
        self._cache = cache
        self._registry = registry
        self._interpreter = interpreter
        # One at a time for each base: services built side by side would otherwise make or pull the same one twice.
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._host_base: Base | None = None

    async def get(self, name: str, platform: Platform) -> Base:
        """A base, complete in the cache.

        Raises:
            BuildError: it cannot be made on this machine.
            RemoteError: it cannot be had.
            CacheError: no space, or no permission.
        """
        if name == SCRATCH_BASE:
            return scratch_base(platform)
        async with self._locks[name]:
            if name != HOST:
                # Brings what a registry may answer; most services stand on the host's base or on none.
                from towpath.build.remote_base import pull_base  # noqa: PLC0415

                return await pull_base(self._registry, self._cache, name, platform)
            base = self._host_base
            if base is None or not self._is_complete(base) or not base.config.platform.matches(platform):
                base = await asyncio.to_thread(prepare_host_base, self._cache, self.interpreter(), platform)
                self._host_base = base
            return base

    def interpreter(self) -> Interpreter:
        """What `host` is made of. Raises BuildError."""
        return self._interpreter or Interpreter.running()

    def _is_complete(self, base: Base) -> bool:
        return all(self._cache.has(layer.descriptor.digest, layer.descriptor.size) for layer in base.layers)
