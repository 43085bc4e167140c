"""One suite for every node: the embedded node agent, and a real kubelet with containerd (`tests/kubernetes/node`)."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from contract.node.worlds import Lab, World, fill
from fakes.registry_process import run_registry
from kubernetes.node.running import Node
from towpath.aio.clock import SystemClock
from towpath.cluster.client import EmbeddedClient
from towpath.cluster.controllers import Controllers
from towpath.cluster.controllers.events import EventRecorder
from towpath.cluster.kernel import Kernel
from towpath.cluster.node.agent import NodeAgent
from towpath.cluster.node.settings import NodeSettings
from towpath.kube.errors import ApiNotFoundError
from towpath.kube.objects import GVK
from towpath.kube.requests import DeleteOptions, WriteOptions
from towpath.kubeclient.client import KubernetesClient
from towpath.kubeclient.target import load_target
from towpath.ociclient.client import RegistryClient

NAMESPACE = GVK("", "v1", "Namespace")
SERVICE_ACCOUNT = GVK("", "v1", "ServiceAccount")


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A registry with the images, in a process of its own."""
    directory = tmp_path_factory.mktemp("lab")
    with run_registry(directory / "registry") as running:
        asyncio.run(fill(running.host, directory))
        yield Lab(running.host, directory / "registry")


@asynccontextmanager
async def open_embedded(directory: Path, lab: Lab) -> AsyncIterator[World]:
    """Kernel, controllers and node agent, in process."""
    clock = SystemClock()
    kernel = Kernel.open(directory / "cluster", clock=clock, new_uid=lambda: str(uuid4()), cluster_ca=b"CA\n")
    client = EmbeddedClient(kernel)
    numbers = itertools.count()
    controllers = Controllers(client, clock=clock, random_suffix=lambda: f"{next(numbers):05d}")
    recorder = EventRecorder(client, clock=clock)
    # Unpacking the interpreter takes seconds; which images a node has, and for whom, is its own.
    images = directory / "node" / "images"
    images.mkdir(parents=True)
    (images / "layers").symlink_to(lab.layers)
    agent = NodeAgent(
        client,
        data=directory / "node",
        clock=clock,
        pull=lambda keyring: RegistryClient(keyring=keyring, clock=clock),
        events=recorder.source("kubelet", host="node-1"),
        settings=NodeSettings(node_name="node-1", stop_grace_seconds=0.5),
    )
    recorder.start()
    await controllers.start()
    await agent.start()
    try:
        yield World(client, "", "node-1", lab, agent.logs)
    finally:
        await agent.close()
        await controllers.close()
        await recorder.close()
        kernel.close()


@asynccontextmanager
async def open_real(node: Node, lab: Lab) -> AsyncIterator[World]:
    """The client over HTTP, speaking to a real kube-apiserver with a real kubelet behind it."""
    client = KubernetesClient(load_target(node.plane.kubeconfig, environ={}), clock=SystemClock())
    try:
        yield World(client, "", node.name, lab, client.logs)
    finally:
        await client.close()


NODES: dict[str, Callable[[pytest.FixtureRequest, Path, Lab], AbstractAsyncContextManager[World]]] = {
    "embedded": lambda _, directory, lab: open_embedded(directory, lab),
    "kubelet": lambda request, _, lab: open_real(request.getfixturevalue("node"), lab),
}


@pytest.fixture(params=["embedded", pytest.param("kubelet", marks=pytest.mark.kubernetes)])
async def world(
    request: pytest.FixtureRequest, tmp_path: Path, lab: Lab, record_property: Callable[[str, object], None]
) -> AsyncIterator[World]:
    """A node, and a fresh namespace that goes with the test."""
    async with NODES[request.param](request, tmp_path, lab) as opened:
        opened.record = record_property
        opened.namespace = f"node-{uuid4().hex[:8]}"
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": opened.namespace}}
        options = WriteOptions(field_manager="contract")
        await opened.client.create(namespace, options)
        await _wait_for_account(opened)
        yield opened
        await opened.client.delete(NAMESPACE, opened.namespace, "", DeleteOptions())


async def _wait_for_account(world: World) -> None:
    """A pod is refused before its service account is there."""
    async with asyncio.timeout(60):
        while True:
            try:
                await world.client.get(SERVICE_ACCOUNT, "default", world.namespace)
            except ApiNotFoundError:
                await asyncio.sleep(0.02)
            else:
                return
