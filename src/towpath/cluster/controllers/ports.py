"""What the controllers need from a Kubernetes API: the verbs they use, and no more.

`cluster.client.EmbeddedClient` satisfies it. Objects are unstructured, errors are `kube.errors`, and every returned
object is the caller's own.
"""

from collections.abc import AsyncIterator
from typing import Protocol

from towpath.kube.objects import GVK, Object
from towpath.kube.requests import DeleteOptions, ObjectList, Patch, WatchEvent, WriteOptions


class ObjectReader(Protocol):
    """The reading half. `namespace=""` means cluster-scoped for `get`, all namespaces for `list` and `watch`."""

    async def get(self, gvk: GVK, name: str, namespace: str = "") -> Object:
        """One object, past every cache. Raises ApiNotFoundError."""
        ...

    async def list(self, gvk: GVK, namespace: str = "") -> ObjectList:
        """All objects of a kind, consistent at one resource version."""
        ...

    def watch(self, gvk: GVK, namespace: str = "", *, resource_version: str = "") -> AsyncIterator[WatchEvent]:
        """Events after `resource_version`. Raises ExpiredError when the version is too old."""
        ...


class ObjectWriter(Protocol):
    """The writing half. Each verb but delete returns the stored object."""

    async def create(self, obj: Object, options: WriteOptions) -> Object:
        """Raises AlreadyExistsError, InvalidError, ForbiddenError (the namespace is terminating)."""
        ...

    async def update(self, obj: Object, options: WriteOptions) -> Object:
        """Replace. Raises ApiNotFoundError, ApiConflictError (optimistic lock), InvalidError."""
        ...

    async def patch(self, gvk: GVK, name: str, namespace: str, patch: Patch, options: WriteOptions) -> Object:
        """Change some fields. Raises ApiNotFoundError, ApiConflictError, InvalidError."""
        ...

    async def delete(self, gvk: GVK, name: str, namespace: str, options: DeleteOptions) -> None:
        """Ask for deletion. Raises ApiNotFoundError, ApiConflictError (a precondition failed)."""
        ...


class ObjectClient(ObjectReader, ObjectWriter, Protocol):
    """Both halves."""
