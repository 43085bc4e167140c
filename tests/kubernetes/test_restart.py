"""The client while a real kube-apiserver goes away and comes back, and with the rights of an ordinary user."""

import asyncio

import pytest

from contract.resource_client.worlds import CONFIG_MAP, options, read_events
from kubernetes.control_plane import ControlPlane
from towpath.aio.clock import SystemClock
from towpath.kube.errors import ExpiredError, ForbiddenError
from towpath.kube.objects import Object, name_of
from towpath.kubeclient.client import KubernetesClient
from towpath.kubeclient.target import load_target

pytestmark = pytest.mark.kubernetes


def config_map(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}}


async def test_who_lists_again_when_a_restart_expired_a_watch_misses_nothing(own_control_plane: ControlPlane) -> None:
    client = KubernetesClient(load_target(own_control_plane.kubeconfig, environ={}), clock=SystemClock())
    await client.create(config_map("first"), options())
    seen: asyncio.Queue[str] = asyncio.Queue()

    async def read() -> None:
        while True:
            try:
                async for event in client.watch(CONFIG_MAP, "default", fields="metadata.name!=kube-root-ca.crt"):
                    seen.put_nowait(name_of(event.object))
            except ExpiredError:  # the new server's memory begins with its start
                continue

    reading = asyncio.create_task(read())
    async with asyncio.timeout(90):
        assert await seen.get() == "first"
        await asyncio.to_thread(own_control_plane.restart, "kube-apiserver")
        await client.create(config_map("second"), options())
        while await seen.get() != "second":
            pass
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await client.close()


async def test_a_version_from_before_a_restart_has_expired(own_control_plane: ControlPlane) -> None:
    client = KubernetesClient(load_target(own_control_plane.kubeconfig, environ={}), clock=SystemClock())
    for number in range(3):
        await client.create(config_map(f"old-{number}"), options())
    await asyncio.to_thread(own_control_plane.restart, "kube-apiserver")
    with pytest.raises(ExpiredError, match="too old resource version"):
        await read_events(client, CONFIG_MAP, "default", 1, resource_version="1")
    await client.close()


async def test_a_user_without_rights_is_told_what_is_forbidden(own_control_plane: ControlPlane) -> None:
    kubeconfig = own_control_plane.write_kubeconfig("jane", user="jane", group="developers")
    client = KubernetesClient(load_target(kubeconfig, environ={}), clock=SystemClock())
    with pytest.raises(ForbiddenError, match=r'configmaps is forbidden: User "jane" cannot list resource "configmaps"'):
        await client.list(CONFIG_MAP, "default")
    await client.close()
