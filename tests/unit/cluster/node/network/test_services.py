import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from towpath.cluster.node.network.services import RouterPorts, ServiceKey, ServiceRouter, connect_from_host
from towpath.kube.objects import GVK, Object
from towpath.kube.requests import Patch, WriteOptions


class Cluster:
    """One Service at most, and what was patched."""

    def __init__(self) -> None:
        self.service: Object | None = None
        self.slices: list[Object] = []
        self.patched = asyncio.Queue[Any]()

    async def patch(self, _gvk: GVK, _name: str, _namespace: str, patch: Patch, _options: WriteOptions) -> Object:
        assert isinstance(patch.body, dict)
        text = patch.body["metadata"]["annotations"]["towpath.dev/loopback"]
        if self.service is not None:
            self.service["metadata"]["annotations"] = {"towpath.dev/loopback": text} if text else {}
        self.patched.put_nowait(text)
        return {}


KEY = ServiceKey("dev", "web")


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
async def router(cluster: Cluster) -> AsyncIterator[ServiceRouter]:
    made = ServiceRouter(
        RouterPorts(
            client=cluster,
            find_service=lambda _: cluster.service,
            slices=lambda _: cluster.slices,
            connect=connect_from_host,
            loopback_of=lambda ip: f"127.208.{ip.split('.', 2)[2]}",
            listen_in_hub=None,
        )
    )
    made.start()
    yield made
    await made.close()


def service(*ports: dict[str, Any], cluster_ip: str = "10.43.5.6") -> Object:
    return {"metadata": {"name": "web", "namespace": "dev"}, "spec": {"clusterIP": cluster_ip, "ports": list(ports)}}


HTTP = {"name": "http", "port": 18080, "protocol": "TCP"}
OTHER = {"name": "other", "port": 18081}


async def announced(cluster: Cluster) -> Any:
    return await asyncio.wait_for(cluster.patched.get(), 10)


async def test_every_tcp_port_listens_and_the_service_says_where(router: ServiceRouter, cluster: Cluster) -> None:
    cluster.service = service(HTTP, OTHER, {"name": "dns", "port": 53, "protocol": "UDP"})
    router.changed(KEY)
    assert await announced(cluster) == "127.208.5.6:18080,127.208.5.6:18081"
    _, writer = await asyncio.open_connection("127.208.5.6", 18081)
    writer.close()


async def test_a_port_that_is_taken_away_stops_listening(router: ServiceRouter, cluster: Cluster) -> None:
    cluster.service = service(HTTP, OTHER)
    router.changed(KEY)
    await announced(cluster)
    cluster.service = {**service(HTTP), "metadata": cluster.service["metadata"]}
    router.changed(KEY)
    assert await announced(cluster) == "127.208.5.6:18080"
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.208.5.6", 18081)


async def test_a_service_that_becomes_headless_has_no_address_of_its_own(
    router: ServiceRouter, cluster: Cluster
) -> None:
    cluster.service = service(HTTP)
    router.changed(KEY)
    await announced(cluster)
    cluster.service = {**service(HTTP, cluster_ip="None"), "metadata": cluster.service["metadata"]}
    router.changed(KEY)
    assert await announced(cluster) is None


async def test_only_ready_endpoints_with_the_port_get_connections(router: ServiceRouter, cluster: Cluster) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"ready one")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    labels = {"kubernetes.io/service-name": "web"}
    cluster.slices = [
        {
            "metadata": {"name": "web-1", "namespace": "dev", "labels": labels},
            "ports": [{"name": "http", "port": port}],
            "endpoints": [
                {"addresses": ["192.0.2.1"], "conditions": {"ready": False}},
                {"addresses": ["127.0.0.1"], "conditions": {"ready": True}},
            ],
        },
        {
            "metadata": {"name": "other-1", "namespace": "dev", "labels": {"kubernetes.io/service-name": "other"}},
            "ports": [{"name": "http", "port": 1}],
            "endpoints": [{"addresses": ["192.0.2.2"]}],
        },
    ]
    cluster.service = service(HTTP)
    router.changed(KEY)
    await announced(cluster)
    for _ in range(3):
        reader, writer = await asyncio.open_connection("127.208.5.6", 18080)
        assert await asyncio.wait_for(reader.read(), 10) == b"ready one"
        writer.close()
        await writer.wait_closed()
    server.close()
    await server.wait_closed()


async def test_a_reset_opens_every_listener_again(router: ServiceRouter, cluster: Cluster) -> None:
    cluster.service = service(HTTP)
    router.changed(KEY)
    await announced(cluster)
    cluster.service = {**cluster.service, "metadata": {"name": "web", "namespace": "dev"}}
    await router.reset()
    assert await announced(cluster) == "127.208.5.6:18080"
