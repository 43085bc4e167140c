"""What the reconciler needs from a Kubernetes API. Two adapters satisfy it: `cluster.client` and `kubeclient`.

Objects are unstructured. All errors are `kube.errors`. Every returned object is the caller's own: mutating it changes
nothing elsewhere.
"""

from collections.abc import AsyncIterator
from typing import Protocol

from towpath.kube.objects import GVK, Object
from towpath.kube.requests import DeleteOptions, ObjectList, Patch, WatchEvent, WriteOptions


class ResourceReader(Protocol):
    """The reading half. `namespace=""` means cluster-scoped for `get`, all namespaces for `list` and `watch`."""

    async def get(self, gvk: GVK, name: str, namespace: str = "") -> Object:
        """One object. Raises ApiNotFoundError."""
        ...

    async def list(self, gvk: GVK, namespace: str = "", *, labels: str = "", fields: str = "") -> ObjectList:
        """All matching objects, consistent at one resource version."""
        ...

    def watch(
        self, gvk: GVK, namespace: str = "", *, labels: str = "", fields: str = "", resource_version: str = ""
    ) -> AsyncIterator[WatchEvent]:
        """Events after `resource_version`; without one, first an ADDED for each existing object.

        Raises ExpiredError, at once or while iterating, when the version is too old: list again.
        """
        ...


class ResourceWriter(Protocol):
    """The writing half. Each returns the stored object (with `dry_run`: as it would be stored)."""

    async def create(self, obj: Object, options: WriteOptions) -> Object:
        """Raises AlreadyExistsError, InvalidError."""
        ...

    async def update(self, obj: Object, options: WriteOptions) -> Object:
        """Replace. Raises ApiNotFoundError, ApiConflictError (optimistic lock), InvalidError."""
        ...

    async def patch(self, gvk: GVK, name: str, namespace: str, patch: Patch, options: WriteOptions) -> Object:
        """Change some fields. Raises ApiNotFoundError, InvalidError."""
        ...

    async def apply(self, obj: Object, options: WriteOptions) -> Object:
        """Server-side apply. Raises ApiConflictError (FieldManagerConflict causes) unless `options.force`."""
        ...

    async def delete(self, gvk: GVK, name: str, namespace: str, options: DeleteOptions) -> None:
        """Ask for deletion; finalizers may delay it. Raises ApiNotFoundError."""
        ...


class ResourceClient(ResourceReader, ResourceWriter, Protocol):
    """Both halves."""
