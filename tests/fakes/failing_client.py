"""A resource client that fails once, or dies for good, at a request of the test's choice."""

import asyncio
from collections.abc import AsyncIterator

from towpath.kube.errors import ApiError
from towpath.kube.objects import GVK, Object
from towpath.kube.requests import DeleteOptions, ObjectList, Patch, WatchEvent, WriteOptions
from towpath.reconcile.ports import ResourceClient


class FailingClient:
    """Satisfies `reconcile.ports.ResourceClient`.

    After request number `last` (counted from 1; carried out if `answered`) no request ever gets an answer again, as for
    a process that is dead. Request number `failing` fails, the others work. Watches are not counted.
    """

    def __init__(self, inner: ResourceClient, *, last: int = 0, answered: bool = True, failing: int = 0) -> None:
        self._inner = inner
        self._last = last
        self._answered = answered
        self._failing = failing
        self.requests = 0

    async def get(self, gvk: GVK, name: str, namespace: str = "") -> Object:
        """One object."""
        await self._before()
        return await self._after(await self._inner.get(gvk, name, namespace))

    async def list(self, gvk: GVK, namespace: str = "", *, labels: str = "", fields: str = "") -> ObjectList:
        """All matching objects."""
        return await self._inner.list(gvk, namespace, labels=labels, fields=fields)

    def watch(
        self, gvk: GVK, namespace: str = "", *, labels: str = "", fields: str = "", resource_version: str = ""
    ) -> AsyncIterator[WatchEvent]:
        """Events."""
        return self._inner.watch(gvk, namespace, labels=labels, fields=fields, resource_version=resource_version)

    async def create(self, obj: Object, options: WriteOptions) -> Object:
        """Store."""
        await self._before()
        return await self._after(await self._inner.create(obj, options))

    async def update(self, obj: Object, options: WriteOptions) -> Object:
        """Replace."""
        await self._before()
        return await self._after(await self._inner.update(obj, options))

    async def patch(self, gvk: GVK, name: str, namespace: str, patch: Patch, options: WriteOptions) -> Object:
        """Change."""
        await self._before()
        return await self._after(await self._inner.patch(gvk, name, namespace, patch, options))

    async def apply(self, obj: Object, options: WriteOptions) -> Object:
        """Server-side apply."""
        await self._before()
        return await self._after(await self._inner.apply(obj, options))

    async def delete(self, gvk: GVK, name: str, namespace: str, options: DeleteOptions) -> None:
        """Delete."""
        await self._before()
        await self._inner.delete(gvk, name, namespace, options)
        await self._after({})

    async def _before(self) -> None:
        self.requests += 1
        if self.requests == self._failing:
            raise ApiError("the server is on fire")
        if self._last and (self.requests > self._last or (self.requests == self._last and not self._answered)):
            await asyncio.Event().wait()

    async def _after(self, answer: Object) -> Object:
        if self.requests == self._last:
            await asyncio.Event().wait()
        return answer
