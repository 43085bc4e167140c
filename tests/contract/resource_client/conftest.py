"""One suite for every adapter of `reconcile.ports.ResourceClient`.

To add an adapter, add an entry to `ADAPTERS`: a function that opens a client as an asynchronous context manager.
Beside these the suite runs on a real Kubernetes (`make test-kubernetes`), spoken to by the client over HTTP.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from contract.resource_client.worlds import NAMESPACE, World, options
from fakes.api_server import running_api_server
from towpath.aio.clock import SystemClock
from towpath.cluster.client import EmbeddedClient
from towpath.cluster.kernel import Kernel
from towpath.kube.requests import DeleteOptions
from towpath.kubeclient.client import KubernetesClient
from towpath.kubeclient.kubeconfig import Target
from towpath.kubeclient.target import load_target
from towpath.reconcile.ports import ResourceClient


@asynccontextmanager
async def open_embedded(directory: Path) -> AsyncIterator[ResourceClient]:
    """The kernel, in process."""
    kernel = Kernel.open(directory / "cluster", clock=SystemClock(), new_uid=lambda: str(uuid4()), cluster_ca=b"CA\n")
    try:
        yield EmbeddedClient(kernel)
    finally:
        kernel.close()


@asynccontextmanager
async def open_http(directory: Path) -> AsyncIterator[ResourceClient]:
    """The client over HTTP, speaking to the façade over a kernel; pages are small so that every list has several."""
    async with running_api_server(directory) as server:
        client = KubernetesClient(load_target(server.kubeconfig, environ={}), clock=SystemClock(), page_size=2)
        try:
            yield client
        finally:
            await client.close()


ADAPTERS: dict[str, Callable[[Path], AbstractAsyncContextManager[ResourceClient]]] = {
    "embedded": open_embedded,
    "http": open_http,
}


@asynccontextmanager
async def open_kubernetes(target: Target) -> AsyncIterator[ResourceClient]:
    """The client over HTTP, speaking to a real kube-apiserver."""
    client = KubernetesClient(target, clock=SystemClock(), page_size=2)
    try:
        yield client
    finally:
        await client.close()


def open_adapter(request: pytest.FixtureRequest, directory: Path) -> AbstractAsyncContextManager[ResourceClient]:
    """The adapter that a test is to run on."""
    if request.param == "kubernetes":
        return open_kubernetes(request.getfixturevalue("real_cluster"))
    return ADAPTERS[request.param](directory)


@pytest.fixture(params=[*ADAPTERS, pytest.param("kubernetes", marks=pytest.mark.kubernetes)])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """A client, and a fresh namespace that goes with the test."""
    async with open_adapter(request, tmp_path) as client:
        name = f"contract-{uuid4().hex[:8]}"
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        await client.create(namespace, options())
        yield World(client, name)
        await client.delete(NAMESPACE, name, "", DeleteOptions())
