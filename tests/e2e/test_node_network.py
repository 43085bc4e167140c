"""Addresses, Services and names, with real sockets in real network namespaces."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fakes.node_world import NodeWorld, add_image, command, make_pod, node_world, phase_is
from towpath.cluster.node.sandbox.launcher import Spawn
from towpath.kube.objects import GVK, Object, annotations_of, find_path

SERVICE = GVK("", "v1", "Service")
LOOKUP = """
import json, socket, sys
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = sorted({entry[4][0] for entry in socket.getaddrinfo(name, 80, socket.AF_INET)})
    except OSError as error:
        found[name] = str(error)
print(json.dumps(found))
"""


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[NodeWorld]:
    async with node_world(tmp_path) as made:
        if not made.agent.network.has_hub:
            pytest.fail(f"this machine gives pods no network of their own: {made.agent.isolation}")
        yield made


@pytest.fixture(params=["", "sandbox+hostnetwork"], ids=["podnetwork", "hostnetwork"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[NodeWorld]:
    async with node_world(tmp_path, isolation=request.param) as made:
        yield made


async def expose(
    world: NodeWorld, name: str, pods: list[Object], *, headless: bool = False, port: int = 8080, target: int = 8080
) -> Object:
    """A Service with an EndpointSlice of these pods."""
    service = await world.create(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "selector": {"app": name},
                "ports": [{"name": "http", "port": port, "targetPort": 8080}],
                **({"clusterIP": "None"} if headless else {}),
            },
        }
    )
    await world.create(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"{name}-1",
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": name},
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": target, "protocol": "TCP"}],
            "endpoints": [
                {
                    "addresses": [find_path(pod, "status", "podIP")],
                    "conditions": {"ready": True},
                    "hostname": pod["metadata"]["name"],
                }
                for pod in pods
            ],
        }
    )
    return service


async def loopback_of(world: NodeWorld, name: str) -> tuple[str, int]:
    async with asyncio.timeout(120):
        async for event in world.client.watch(SERVICE, "default", fields=f"metadata.name={name}"):
            text = annotations_of(event.object).get("towpath.dev/loopback", "")
            if text:
                host, _, port = text.partition(":")
                return host, int(port)
    raise AssertionError("the watch ended")


async def look_up(world: NodeWorld, pod_name: str, *names: str) -> dict[str, Any]:
    pod = make_pod(pod_name, container=command(LOOKUP, args=list(names)), restartPolicy="Never")
    await world.create(pod)
    await world.wait_for(pod_name, phase_is("Succeeded", "Failed"))
    found: dict[str, Any] = json.loads(await world.log(pod_name))
    return found


async def test_replicas_listen_on_the_same_port_without_knowing(hub: NodeWorld) -> None:
    everywhere = {"env": [{"name": "BIND", "value": "0.0.0.0"}]}  # noqa: S104 - that is the point
    pods = [await hub.run_pod(f"web-{n}", container=everywhere) for n in range(3)]
    addresses = {find_path(pod, "status", "podIP") for pod in pods}
    assert len(addresses) == 3
    assert [await hub.get(pod, "/") for pod in pods] == ["web-0", "web-1", "web-2"]


async def test_a_pod_whose_files_could_not_be_written_has_a_network_at_the_next_try(
    hub: NodeWorld, tmp_path: Path
) -> None:
    pod = {"metadata": {"name": "late", "namespace": "default", "uid": "11111111"}, "spec": {}}
    network = hub.agent.network
    in_the_way = tmp_path / "late" / "etc"
    in_the_way.parent.mkdir()
    in_the_way.touch()
    with pytest.raises(FileExistsError):
        await network.attach(pod, tmp_path / "late")
    in_the_way.unlink()

    attached = await network.attach(pod, tmp_path / "late")
    program = "import socket, sys; socket.create_server((sys.argv[1], 8080))"
    argv = [sys.executable, "-c", program, attached.address]
    child = await attached.launcher.spawn(Spawn(argv=argv, stdout=1, stderr=2, network=attached.namespace))
    assert await child.wait() == 0, "the address it was told is the one its namespace has"
    await network.detach(pod)


async def test_replicas_that_bind_their_own_address_share_a_port_on_the_host_network(tmp_path: Path) -> None:
    async with node_world(tmp_path, isolation="sandbox+hostnetwork") as world:
        pods = [await world.run_pod(f"web-{n}") for n in range(2)]
        assert [await world.get(pod, "/") for pod in pods] == ["web-0", "web-1"]


async def test_a_service_spreads_connections_over_its_pods_from_the_host(world: NodeWorld) -> None:
    pods = [await world.run_pod(f"web-{n}") for n in range(2)]
    await expose(world, "web", pods)
    host, port = await loopback_of(world, "web")
    assert (host.split(".")[0], port) == ("127", 8080)
    reader_answers = set()
    for _ in range(4):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        reader_answers.add((await reader.read()).partition(b"\r\n\r\n")[2])
        writer.close()
        await writer.wait_closed()
    assert reader_answers == {b"web-0", b"web-1"}


async def test_a_pod_reaches_a_service_by_name_and_by_cluster_ip(hub: NodeWorld) -> None:
    pods = [await hub.run_pod("web-0")]
    service = await expose(hub, "web", pods)
    await loopback_of(hub, "web")
    program = (
        "import sys,urllib.request\n"
        "for host in sys.argv[1:]: print(urllib.request.urlopen(f'http://{host}:8080/').read().decode())"
    )
    hosts = ["web", "web.default", "web.default.svc.cluster.local", service["spec"]["clusterIP"]]
    await hub.create(make_pod("client", container=command(program, args=hosts), restartPolicy="Never"))
    await hub.wait_for("client", phase_is("Succeeded", "Failed"))
    assert await hub.log("client") == "web-0\n" * 4


async def test_names_of_services_and_of_stateful_pods_resolve_in_pods(world: NodeWorld) -> None:
    pods = [await world.run_pod(f"web-{n}") for n in range(2)]
    addresses = [find_path(pod, "status", "podIP") for pod in pods]
    await expose(world, "web", pods, headless=True)
    await expose(world, "front", pods)
    await loopback_of(world, "front")
    found = await look_up(world, "client", "web", "web-1.web", "web-1.web.default.svc.cluster.local", "front")
    assert found["web"] == sorted(addresses)
    assert found["web-1.web"] == found["web-1.web.default.svc.cluster.local"] == [addresses[1]]
    assert len(found["front"]) == 1


async def test_a_pod_knows_its_own_name_and_the_api_server(hub: NodeWorld) -> None:
    found = await look_up(hub, "client", "client", "kubernetes.default.svc", "localhost", "nobody", "example.org")
    assert found["client"][0].startswith("10.42.")
    assert found["kubernetes.default.svc"] == ["10.43.0.1"]
    assert found["localhost"] == ["127.0.0.1"]
    assert isinstance(found["nobody"], str)  # refused at once: there is no way out to ask anybody else
    assert isinstance(found["example.org"], str)


async def test_the_api_server_is_reached_at_its_cluster_ip(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"from the host")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with node_world(tmp_path, api_port=port) as world:
        program = (
            "import os,socket\n"
            "host, port = (os.environ[f'KUBERNETES_SERVICE_{n}'] for n in ('HOST', 'PORT'))\n"
            "s=socket.create_connection((host, int(port)))\n"
            "s.sendall(b'hello\\n'); print(s.recv(100).decode())"
        )
        await world.create(make_pod("client", container=command(program), restartPolicy="Never"))
        await world.wait_for("client", phase_is("Succeeded", "Failed"))
        assert await world.log("client") == "from the host\n"
    server.close()
    await server.wait_closed()


async def test_a_service_without_ready_pods_refuses_at_once(world: NodeWorld) -> None:
    await expose(world, "empty", [])
    host, port = await loopback_of(world, "empty")
    reader, writer = await asyncio.open_connection(host, port)
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(), 10)
    writer.close()


def at(address: str) -> Object:
    """What `expose` needs of a pod, with an address that somebody made up."""
    return {"metadata": {"name": "made-up"}, "status": {"podIP": address}}


async def test_a_service_never_leads_to_a_program_of_the_host(world: NodeWorld) -> None:
    reached = []

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(writer.get_extra_info("peername"))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        target = server.sockets[0].getsockname()[1]
        hosts = ["127.0.0.1", "0.0.0.0"]  # noqa: S104 - the kernel takes it for the loopback
        await expose(world, "sly", [at(host) for host in hosts], target=target)
        host, port = await loopback_of(world, "sly")
        reader, writer = await asyncio.open_connection(host, port)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 10)
        writer.close()
    assert reached == []


async def test_a_service_leads_to_the_declared_port_of_a_pod_on_the_hosts_network(world: NodeWorld) -> None:
    container = {"env": [{"name": "BIND", "value": "127.0.0.1"}], "ports": [{"containerPort": 8080}]}
    await world.run_pod("shared", container=container, hostNetwork=True)
    await expose(world, "shared", [at("127.0.0.1")], port=8081)
    host, port = await loopback_of(world, "shared")
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    assert (await asyncio.wait_for(reader.read(), 10)).endswith(b"shared")
    writer.close()


async def test_a_host_network_pod_shares_the_host(hub: NodeWorld) -> None:
    program = "import socket; s=socket.socket(); s.bind(('127.0.0.1',0)); print(len(socket.if_nameindex()))"
    await hub.create(make_pod("shared", container=command(program), hostNetwork=True, restartPolicy="Never"))
    pod = await hub.wait_for("shared", phase_is("Succeeded", "Failed"))
    assert pod["status"]["podIP"] == pod["status"]["hostIP"]
    assert pod["status"]["phase"] == "Succeeded"


async def test_the_pod_network_comes_back_after_its_broker_was_killed(hub: NodeWorld) -> None:
    add_image(hub.registry, "registry.test/app:v2", b"")
    await hub.run_pod("web-0")
    assert hub.agent.network._hub is not None
    broker = hub.agent.network._hub.pid
    os.kill(broker, signal.SIGKILL)
    await hub.wait_for("web-0", lambda pod: pod["status"]["containerStatuses"][0]["restartCount"] >= 1)
    assert hub.agent.network.has_hub
