"""What a contract test acts on: an adapter of `ResourceClient`, and a namespace of the test's own."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from towpath.kube.errors import ApiNotFoundError
from towpath.kube.objects import GVK, Object
from towpath.kube.requests import (
    DeleteOptions,
    FieldValidation,
    Patch,
    PatchType,
    Propagation,
    WatchEvent,
    WriteOptions,
)
from towpath.reconcile.ports import ResourceClient

CONFIG_MAP = GVK("", "v1", "ConfigMap")
NAMESPACE = GVK("", "v1", "Namespace")
POD = GVK("", "v1", "Pod")
SERVICE = GVK("", "v1", "Service")
DEPLOYMENT = GVK("apps", "v1", "Deployment")

# A real control plane collects garbage in the background; nothing here takes longer unless it is broken.
PATIENCE_SECONDS = 120.0


def options(
    manager: str = "contract",
    *,
    dry_run: bool = False,
    force: bool = False,
    subresource: str = "",
    validation: FieldValidation = FieldValidation.STRICT,
) -> WriteOptions:
    """Write options in few words."""
    return WriteOptions(
        field_manager=manager,
        dry_run=dry_run,
        force=force,
        subresource=subresource,
        field_validation=validation,
    )


@dataclass(frozen=True, slots=True)
class World:
    """An adapter and a namespace, with the few phrases most tests use."""

    client: ResourceClient
    namespace: str

    def config_map(self, name: str = "settings", data: dict[str, str] | None = None, **metadata: Any) -> Object:
        """A ConfigMap of this namespace."""
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": self.namespace, **metadata},
            **({"data": data} if data is not None else {}),
        }

    def deployment(self, name: str = "sensor", *, replicas: int = 0, image: str = "registry.test/sensor:1") -> Object:
        """A Deployment of this namespace; without replicas, so that no controller has anything to do."""
        labels = {"app": name}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "main", "image": image}]},
                },
            },
        }

    def service(self, name: str = "sensor") -> Object:
        """A Service of this namespace."""
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"selector": {"app": name}, "ports": [{"port": 80}]},
        }

    async def get(self, gvk: GVK, name: str) -> Object:
        """An object of this namespace."""
        return await self.client.get(gvk, name, self.namespace)

    async def merge(self, gvk: GVK, name: str, body: dict[str, Any], *, subresource: str = "") -> Object:
        """A merge patch."""
        patch = Patch(PatchType.MERGE, body)
        return await self.client.patch(gvk, name, self.namespace, patch, options(subresource=subresource))

    async def delete(self, gvk: GVK, name: str, propagation: Propagation = Propagation.BACKGROUND) -> None:
        """Delete an object of this namespace."""
        await self.client.delete(gvk, name, self.namespace, DeleteOptions(propagation=propagation))

    async def is_gone(self, gvk: GVK, name: str) -> bool:
        """Whether an object of this namespace does not exist."""
        try:
            await self.get(gvk, name)
        except ApiNotFoundError:
            return True
        return False


def owner_reference(owner: Object, *, blocks: bool = False) -> dict[str, Any]:
    """A reference to `owner` for a dependent's metadata."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "blockOwnerDeletion": blocks,
    }


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until a condition holds; fail after a time in which every control plane has long done its work."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await condition():  # noqa: ASYNC110 - no event says that a control plane has come to rest
            await asyncio.sleep(0.05)


async def read_events(client: ResourceClient, gvk: GVK, namespace: str, count: int, **query: str) -> list[WatchEvent]:
    """The next `count` events of a watch, without bookmarks."""
    events: list[WatchEvent] = []
    watch: Any = client.watch(gvk, namespace, **query)
    async with asyncio.timeout(PATIENCE_SECONDS), aclosing(watch):
        async for event in watch:
            if event.type != "BOOKMARK":
                events.append(event)
            if len(events) == count:
                break
    return events
