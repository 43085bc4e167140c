"""The in-process adapter of the reconciler's port `ResourceClient`, over the embedded kernel.

Controllers and the node agent use it too. Every call gives the event loop a turn first, so that a long run of writes
never starves the rest of the platform; the call itself is then atomic. Warnings of the API go to `on_warning`.
"""

import asyncio
from collections.abc import Callable

from towpath.cluster.kernel import Kernel, Watch, Written
from towpath.kube.objects import GVK, Object, ObjectKey, key_of
from towpath.kube.requests import DeleteOptions, ObjectList, Patch, WriteOptions


def _ignore(_key: ObjectKey, _warning: str) -> None:
    return


class EmbeddedClient:
    """Satisfies `reconcile.ports.ResourceClient`; what each method raises stands there."""

    def __init__(self, kernel: Kernel, *, on_warning: Callable[[ObjectKey, str], None] = _ignore) -> None:
        self._kernel = kernel
        self._on_warning = on_warning

    async def get(self, gvk: GVK, name: str, namespace: str = "") -> Object:
        """One object."""
        return self._kernel.get(gvk, name, namespace)

    async def list(self, gvk: GVK, namespace: str = "", *, labels: str = "", fields: str = "") -> ObjectList:
        """All matching objects, consistent at one resource version."""
        await asyncio.sleep(0)
        page = self._kernel.list(gvk, namespace, labels=labels, fields=fields)
        return ObjectList(page.items, page.resource_version)

    def watch(
        self, gvk: GVK, namespace: str = "", *, labels: str = "", fields: str = "", resource_version: str = ""
    ) -> Watch:
        """Events after `resource_version`; without one, first an ADDED for each existing object."""
        return self._kernel.watch(gvk, namespace, labels=labels, fields=fields, resource_version=resource_version)

    async def create(self, obj: Object, options: WriteOptions) -> Object:
        """Store a new object."""
        await asyncio.sleep(0)
        return self._told(self._kernel.create(obj, options))

    async def update(self, obj: Object, options: WriteOptions) -> Object:
        """Replace an object."""
        await asyncio.sleep(0)
        return self._told(self._kernel.update(obj, options))

    async def patch(self, gvk: GVK, name: str, namespace: str, patch: Patch, options: WriteOptions) -> Object:
        """Change some fields."""
        await asyncio.sleep(0)
        return self._told(self._kernel.patch(gvk, name, namespace, patch, options))

    async def apply(self, obj: Object, options: WriteOptions) -> Object:
        """Server-side apply."""
        await asyncio.sleep(0)
        return self._told(self._kernel.apply(obj, options))

    async def delete(self, gvk: GVK, name: str, namespace: str, options: DeleteOptions) -> None:
        """Ask for deletion; finalizers may delay it."""
        await asyncio.sleep(0)
        self._kernel.delete(gvk, name, namespace, options)

    def _told(self, written: Written) -> Object:
        for warning in written.warnings:
            self._on_warning(key_of(written.object), warning)
        return written.object
