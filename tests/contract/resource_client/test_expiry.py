"""What is too old: versions to watch from, tokens to list on with; and the bookmark at the end of what exists.

Every server forgets when it likes, so here each is made to: the embedded cluster by more Events than it keeps, a real
one by a compaction of its etcd. That needs a control plane of the tests' own, whatever cluster the rest runs on.
"""

import json
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from contract.resource_client.worlds import CONFIG_MAP, read_events
from fakes.api_server import running_api_server
from kubernetes.control_plane import ControlPlane, running_control_plane
from towpath.aio.clock import SystemClock
from towpath.cluster.client import EmbeddedClient
from towpath.cluster.kernel import Kernel
from towpath.cluster.kernel.log import RETAINED_CHATTER, TRIM_EVERY
from towpath.kube.errors import ExpiredError
from towpath.kube.objects import GVK, Object, name_of
from towpath.kube.requests import EventType, WriteOptions
from towpath.kubeclient.client import KubernetesClient
from towpath.kubeclient.request import PreparedRequest, prepare_list
from towpath.kubeclient.target import load_target
from towpath.reconcile.ports import ResourceClient

EVENT = GVK("", "v1", "Event")
OPTIONS = WriteOptions(field_manager="contract")
NAMESPACE = "default"

Page = Callable[[int, str], Awaitable[tuple[list[Object], str]]]


@dataclass(frozen=True)
class Forgetful:
    """A client of a server, pages of its Events, and the way to make it forget all versions but the newest."""

    client: ResourceClient
    page: Page
    forget: Callable[[], Awaitable[None]]


def an_event(name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", "name": "one", "namespace": NAMESPACE},
        "reason": "Said",
        "type": "Normal",
    }


def overrun(kernel: Kernel) -> Callable[[], Awaitable[None]]:
    async def forget() -> None:
        for number in range(RETAINED_CHATTER + TRIM_EVERY):
            kernel.create(an_event(f"noise-{number}"), OPTIONS)

    return forget


def pages_of(client: KubernetesClient) -> Page:
    async def page(limit: int, token: str) -> tuple[list[Object], str]:
        kind = await client._kinds.get(EVENT)
        request = prepare_list(kind, NAMESPACE, labels="", fields="", limit=limit, continue_token=token)
        document = json.loads((await client._transport.send(request)).content)
        return document["items"], document["metadata"].get("continue", "")

    return page


@asynccontextmanager
async def embedded(directory: Path) -> AsyncIterator[Forgetful]:
    kernel = Kernel.open(directory / "cluster", clock=SystemClock(), new_uid=lambda: str(uuid4()))

    async def page(limit: int, token: str) -> tuple[list[Object], str]:
        found = kernel.list(EVENT, NAMESPACE, limit=limit, continue_token=token)
        return found.items, found.continue_token

    try:
        yield Forgetful(EmbeddedClient(kernel), page, overrun(kernel))
    finally:
        kernel.close()


@asynccontextmanager
async def http(directory: Path) -> AsyncIterator[Forgetful]:
    async with running_api_server(directory) as server:
        client = KubernetesClient(load_target(server.kubeconfig, environ={}), clock=SystemClock())
        try:
            yield Forgetful(client, pages_of(client), overrun(server.kernel))
        finally:
            await client.close()


@asynccontextmanager
async def kubernetes(directory: Path) -> AsyncIterator[Forgetful]:
    with running_control_plane(directory, controllers=False) as plane:
        client = KubernetesClient(load_target(plane.kubeconfig, environ={}), clock=SystemClock())

        async def forget() -> None:
            newest = (await client.create(an_event("newest"), OPTIONS))["metadata"]["resourceVersion"]
            compact(plane, newest)

        try:
            yield Forgetful(client, pages_of(client), forget)
        finally:
            await client.close()


def compact(plane: ControlPlane, revision: str) -> None:
    flags = next(one.flags for one in plane.components if one.name == "etcd")
    url = next(flag.partition("=")[2] for flag in flags if flag.startswith("--advertise-client-urls="))
    body = json.dumps({"revision": revision, "physical": True}).encode()
    with urllib.request.urlopen(f"{url}/v3/kv/compaction", body, timeout=60) as answer:  # noqa: S310 - http
        assert answer.status == 200


OPENERS = {"embedded": embedded, "http": http, "kubernetes": kubernetes}


@pytest.fixture(params=["embedded", "http", pytest.param("kubernetes", marks=pytest.mark.kubernetes)])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Forgetful]:
    if request.param == "kubernetes":
        request.getfixturevalue("control_plane_binary")
    async with OPENERS[request.param](tmp_path) as opened:
        yield opened


async def test_a_version_that_is_forgotten_cannot_be_watched_from(server: Forgetful) -> None:
    version = (await server.client.create(an_event("first"), OPTIONS))["metadata"]["resourceVersion"]
    await server.client.create(an_event("second"), OPTIONS)
    (event,) = await read_events(server.client, EVENT, NAMESPACE, 1, resource_version=version)
    assert name_of(event.object) == "second"
    await server.forget()
    with pytest.raises(ExpiredError):
        await read_events(server.client, EVENT, NAMESPACE, 1, resource_version=version)


async def test_a_list_goes_on_at_the_version_it_began_with_until_that_is_forgotten(server: Forgetful) -> None:
    for name in ("a", "b", "c"):
        await server.client.create(an_event(name), OPTIONS)
    first, token = await server.page(1, "")
    await server.client.create(an_event("bb"), OPTIONS)
    second, _ = await server.page(5, token)
    assert [name_of(one) for one in (*first, *second)] == ["a", "b", "c"]
    await server.forget()
    with pytest.raises(ExpiredError, match="continue parameter is too old"):
        await server.page(5, token)


INAPPLICABLE = pytest.mark.skip("a bookmark is a message of the wire, and in process there is none")


@pytest.mark.parametrize(
    "server",
    [
        pytest.param("embedded", marks=INAPPLICABLE),
        "http",
        pytest.param("kubernetes", marks=pytest.mark.kubernetes),
    ],
    indirect=True,
)
async def test_the_end_of_what_exists_is_marked_for_who_asks(server: Forgetful) -> None:
    assert isinstance(server.client, KubernetesClient)
    await server.client.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": the_map("one")}, OPTIONS)
    query = {
        "watch": "true",
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
        "fieldSelector": "metadata.name=one",
    }
    request = PreparedRequest("GET", f"/api/v1/namespaces/{NAMESPACE}/configmaps", query)
    seen: list[str] = []
    mark: Object = {}
    async with server.client._transport.stream(request, idle_seconds=60) as pieces:
        buffered = b""
        async for piece in pieces:
            *lines, buffered = (buffered + piece).split(b"\n")
            for line in map(json.loads, lines):
                seen.append(line["type"])
                mark = line["object"]
            if "BOOKMARK" in seen:
                break
    assert seen == [EventType.ADDED, EventType.BOOKMARK]
    assert mark["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    await server.client.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": the_map("two")}, OPTIONS)
    version = mark["metadata"]["resourceVersion"]
    (event,) = await read_events(server.client, CONFIG_MAP, NAMESPACE, 1, resource_version=version)
    assert name_of(event.object) == "two", "nothing between the mark and what came next"


def the_map(name: str) -> dict[str, str]:
    return {"name": name, "namespace": NAMESPACE}
