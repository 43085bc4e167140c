"""Random operations on the embedded cluster and on a real kube-apiserver, compared answer by answer, object by object.

A failure names its seed and step. To look for more: `DIFFERENTIAL_SEEDS=1000-1200 make test-kubernetes`. A divergence
that is found and mended becomes a case in `tests/contract/resource_client/test_found.py`; one that stays is described
in docs/conformance.md, and `operations` does not make it.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from kubernetes.differential import Side, carry_out, contents, differences
from kubernetes.operations import KINDS, NAMESPACE, STEPS, Generator
from towpath.aio.clock import SystemClock
from towpath.cluster.client import EmbeddedClient
from towpath.cluster.kernel import Kernel
from towpath.kube.errors import AlreadyExistsError, ApiNotFoundError
from towpath.kube.requests import DeleteOptions, Patch, PatchType, WriteOptions
from towpath.kubeclient.client import KubernetesClient
from towpath.kubeclient.kubeconfig import Target
from towpath.reconcile.ports import ResourceClient

pytestmark = pytest.mark.kubernetes
SETUP = WriteOptions(field_manager="setup")
first, _, last = os.environ.get("DIFFERENTIAL_SEEDS", "1-50").partition("-")
SEEDS = range(int(first), int(last or first) + 1)


@pytest.fixture
async def real(api_alone: Target) -> AsyncIterator[KubernetesClient]:
    client = KubernetesClient(api_alone, clock=SystemClock())
    await prepare(client)
    yield client
    await client.close()


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[EmbeddedClient]:
    kernel = Kernel.open(tmp_path / "cluster", clock=SystemClock(), new_uid=lambda: str(uuid4()))
    client = EmbeddedClient(kernel)
    await prepare(client)
    yield client
    kernel.close()


async def prepare(client: ResourceClient) -> None:
    """An empty namespace: nothing collects garbage here, so the objects of the last test are deleted one by one."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    try:
        await client.create(namespace, SETUP)
    except AlreadyExistsError:
        for gvk in KINDS:
            for obj in (await client.list(gvk, NAMESPACE)).items:
                name = obj["metadata"]["name"]
                if obj["metadata"].get("finalizers"):
                    free = Patch(PatchType.MERGE, {"metadata": {"finalizers": None}})
                    await client.patch(gvk, name, NAMESPACE, free, SETUP)
                try:
                    await client.delete(gvk, name, NAMESPACE, DeleteOptions())
                except ApiNotFoundError:
                    continue


@pytest.mark.parametrize("seed", SEEDS)
async def test_both_clusters_answer_alike_and_hold_the_same(
    seed: int, real: KubernetesClient, embedded: EmbeddedClient
) -> None:
    generator = Generator(seed)
    their_side, our_side = Side(real), Side(embedded)
    for step in range(STEPS):
        operation = generator.operation()
        theirs, ours = await carry_out(their_side, operation), await carry_out(our_side, operation)
        told = f"seed {seed}, step {step}: {operation}"
        if theirs.object is not None and ours.object is not None:
            assert not differences(theirs.object, ours.object), told
        else:
            assert theirs.text() == ours.text(), told
    assert not differences(await contents(their_side), await contents(our_side)), f"seed {seed}: what the clusters hold"
