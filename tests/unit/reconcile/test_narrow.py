"""A reconciler whose rights end at its namespaces: it lists and watches there only, and Secrets by name."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.reconciling import World, config, namespace, stateful_set
from towpath.kube.errors import ForbiddenError
from towpath.kube.objects import GVK, Object
from towpath.kube.requests import DeleteOptions, ObjectList, Patch, WatchEvent, WriteOptions
from towpath.reconcile.parts import Settings
from towpath.reconcile.ports import ResourceClient
from towpath.reconcile.status import Sync

SETTINGS = Settings(narrow_watches=True, inventory_namespace="towpath")


def secret(name: str = "towpath-pull", **data: str) -> Object:
    """A Secret."""
    return {**config(name), "kind": "Secret", "data": data}


class Fenced:
    """Satisfies `reconcile.ports.ResourceClient`: refuses what a namespaced Role cannot grant."""

    def __init__(self, client: ResourceClient) -> None:
        self._client = client
        self.read: set[str] = set()
        self.refused: set[str] = set()

    async def get(self, gvk: GVK, name: str, namespace: str = "") -> Object:
        if gvk.kind in self.refused:
            raise ForbiddenError(f'{gvk.kind} "{name}" is forbidden')
        return await self._client.get(gvk, name, namespace)

    async def list(self, gvk: GVK, namespace: str = "", *, labels: str = "", fields: str = "") -> ObjectList:
        self._check(gvk, namespace, fields)
        return await self._client.list(gvk, namespace, labels=labels, fields=fields)

    def watch(
        self, gvk: GVK, namespace: str = "", *, labels: str = "", fields: str = "", resource_version: str = ""
    ) -> AsyncIterator[WatchEvent]:
        self._check(gvk, namespace, fields)
        return self._client.watch(gvk, namespace, labels=labels, fields=fields, resource_version=resource_version)

    async def create(self, obj: Object, options: WriteOptions) -> Object:
        return await self._client.create(obj, options)

    async def update(self, obj: Object, options: WriteOptions) -> Object:
        raise ForbiddenError(f"the reconciler replaces nothing: {obj}, {options}")

    async def patch(self, gvk: GVK, name: str, namespace: str, patch: Patch, options: WriteOptions) -> Object:
        return await self._client.patch(gvk, name, namespace, patch, options)

    async def apply(self, obj: Object, options: WriteOptions) -> Object:
        return await self._client.apply(obj, options)

    async def delete(self, gvk: GVK, name: str, namespace: str, options: DeleteOptions) -> None:
        await self._client.delete(gvk, name, namespace, options)

    def _check(self, gvk: GVK, namespace: str, fields: str) -> None:
        named = fields.startswith("metadata.name=")
        if (not namespace or gvk.kind == "Secret") and not named:
            raise ForbiddenError(f"{gvk.kind} of {namespace or 'all namespaces'} may not be listed")
        self.read.add(f"{gvk.kind} {namespace} {fields}".strip())


@pytest.fixture
async def fenced(tmp_path: Path) -> AsyncIterator[tuple[World, Fenced]]:
    world = await World.open(tmp_path / "cluster", settings=SETTINGS)
    client = Fenced(world.cluster)
    world.reconciler = world.new_reconciler(client)
    yield world, client
    await world.close()


async def test_an_application_is_reconciled_without_a_right_beyond_its_namespaces(
    fenced: tuple[World, Fenced],
) -> None:
    world, client = fenced
    world.desire(namespace(), secret(), config(), stateful_set("1"))
    await world.start()

    assert world.status().ready, world.status()
    assert client.read == {
        "ConfigMap dev",
        "Namespace  metadata.name=dev",
        "Pod dev",
        "Secret dev metadata.name=towpath-pull",
        "StatefulSet dev",
    }


async def test_drift_is_seen_through_narrow_watches_too(fenced: tuple[World, Fenced]) -> None:
    world, _ = fenced
    world.desire(namespace(), secret(password="b25l"), config(level="high"))
    await world.start()
    await world.workloads.change(secret(), {"data": {"password": "dHdv"}})
    await world.workloads.delete(config())
    await world.settle()

    assert world.status().sync is Sync.SYNCED
    assert world.counts.drifts == ["dev", "dev"]
    assert (await world.cluster.get(GVK("", "v1", "Secret"), "towpath-pull", "dev"))["data"] == {"password": "b25l"}


async def test_the_inventory_is_where_the_rights_are(fenced: tuple[World, Fenced]) -> None:
    world, _ = fenced
    world.desire(namespace(), config())
    await world.start()

    stored = await world.cluster.get(GVK("", "v1", "ConfigMap"), "towpath-inventory-dev", "towpath")
    assert "dev_settings__ConfigMap" in stored["data"]["inventory.json"]


async def test_a_secret_that_git_drops_is_pruned_and_watched_no_longer(fenced: tuple[World, Fenced]) -> None:
    world, client = fenced
    world.desire(namespace(), secret("one"), config())
    await world.start()
    await world.push(namespace(), config(), secret("two"), revision="b")
    assert not await world.exists(secret("one"))
    client.read.clear()
    await world.push(namespace(), config(), secret("three"), revision="c")

    assert client.read == {"Secret dev metadata.name=three"}


async def test_a_kind_without_rights_stops_nothing_that_runs_and_says_how_to_grant_it(
    fenced: tuple[World, Fenced],
) -> None:
    world, client = fenced
    world.desire(namespace(), config())
    await world.start()
    client.refused.add("Service")
    service = {**config("web"), "apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 80}]}}
    service.pop("data")
    await world.push(namespace(), config(), service, revision="b")

    problem = world.status().problem
    assert problem is not None
    assert 'Service "web" is forbidden' in problem.message
    assert "towpath manifest" in problem.hint
    assert await world.exists(config())
    client.refused.clear()
    world.reconciler.trigger("dev", "granted")
    await world.settle()
    assert world.status().problem is None
    assert await world.exists(service)
