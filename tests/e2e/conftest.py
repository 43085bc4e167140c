"""A cluster that the real kubectl speaks to: façade, kernel and controllers are real, the node is pretended."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.api_server import ApiServer, running_api_server
from fakes.kubectl import Kubectl
from fakes.kubelet import Kubelet
from towpath.aio.clock import SystemClock
from towpath.cluster.controllers import Controllers
from towpath.kube.objects import GVK

POD = GVK("", "v1", "Pod")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ApiServer]:
    """A running API server."""
    async with running_api_server(tmp_path) as running:
        yield running


@pytest.fixture
def kubectl(server: ApiServer) -> Kubectl:
    """kubectl, with the administrator's kubeconfig."""
    return Kubectl(server.kubeconfig)


@pytest.fixture
async def kubelet(server: ApiServer) -> AsyncIterator[Kubelet]:
    """Controllers, and a node that says every pod runs."""
    suffixes = iter(f"{number:05d}" for number in range(10_000))
    node = Kubelet(server.client, clock=SystemClock())
    await node.register()

    async def run_pods() -> None:
        async for _ in server.client.watch(POD):
            while await node.step():
                pass

    controllers = Controllers(server.client, clock=SystemClock(), random_suffix=lambda: next(suffixes))
    await controllers.start()
    running = asyncio.create_task(run_pods())
    yield node
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await controllers.close()
