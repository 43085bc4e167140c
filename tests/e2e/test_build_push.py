"""What a push puts on the wire, counted at a real registry: kilobytes for a change, one HEAD for no change."""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from fakes.clock import VirtualClock
from fakes.registry import password, serve_registry
from fakes.wheels import write_lock, write_wheel
from towpath.aio.clock import SystemClock
from towpath.blueprint.model import Service
from towpath.build.builder import Builder
from towpath.build.host_base import host_platform
from towpath.build.image import BuildRequest, BuiltImage
from towpath.build.index import compose_index
from towpath.http.server import Listener
from towpath.oci import media
from towpath.oci.digest import Digest
from towpath.oci.keyring import Credential, Keyring
from towpath.oci.platform import Platform
from towpath.oci.reference import Reference
from towpath.ociclient.client import RegistryClient

SENSOR = Service("sensor", "services/sensor")


@dataclass
class Wire:
    """A registry behind a counter; `requests` are `METHOD /v2/…`, `received` the bytes of their bodies."""

    address: str
    client: RegistryClient
    requests: list[str] = field(default_factory=list)
    received: int = 0

    def forget(self) -> None:
        self.requests.clear()
        self.received = 0

    def reference(self, name: str) -> Reference:
        return Reference.parse(f"{self.address}/lab/{name}")


def client_of(address: str) -> RegistryClient:
    return RegistryClient(keyring=Keyring.of({address: Credential("admin", password("admin"))}), clock=SystemClock())


@pytest.fixture
async def wire(tmp_path: Path) -> AsyncIterator[Wire]:
    async with serve_registry(tmp_path / "registry") as server:
        counted: list[Wire] = []

        async def count(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http":
                await server.app(scope, receive, send)
                return
            counted[0].requests.append(f"{scope['method']} {scope['path']}")

            async def counting() -> Any:
                message = await receive()
                counted[0].received += len(message.get("body", b""))
                return message

            # Every byte is to come as a message, so that it is counted.
            await server.app({**scope, "extensions": {}}, counting, send)

        listener = Listener(count, grace_seconds=0.5)
        await listener.start()
        client = client_of(listener.address)
        counted.append(Wire(listener.address, client))
        # Once, so that the exchange of tokens is over.
        await client.find_blob(counted[0].reference("warm"), Digest.of(b"nothing"))
        counted[0].forget()
        yield counted[0]
        await client.close()
        await listener.close()


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """A service of a megabyte of packages and a few lines of its own."""
    directory = tmp_path / "sensor"
    (directory / "wheels").mkdir(parents=True)
    digest = write_wheel(directory / "wheels", "big", files={"big.py": f"DATA = {os.urandom(500_000).hex()!r}\n"})
    write_lock(directory, {"big==1.0": [digest]})
    (directory / "main.py").write_text("import big\n")
    return directory


@pytest.fixture
def builder(tmp_path: Path, wire: Wire) -> Builder:
    return Builder(cache=tmp_path / "cache", registry=wire.client, clock=VirtualClock(0.0), environ=dict(os.environ))


def request(context: Path, service: Service = SENSOR, platform: Platform | None = None) -> BuildRequest:
    return BuildRequest(
        service=service,
        context=context,
        commit="0123456789abcdef0123456789abcdef01234567",
        tree_id="",
        source_url="",
        committed_at=1_700_000_000.0,
        tag="sha-0123456",
        platform=platform or host_platform(),
    )


async def test_a_changed_source_sends_kilobytes(wire: Wire, builder: Builder, service: Path) -> None:
    await builder.push(await builder.build(request(service)), wire.reference("sensor").with_tag("v1"))
    assert wire.received > 1_000_000
    wire.forget()
    (service / "main.py").write_text("import big\nprint(len(big.DATA))\n")
    image = await builder.build(request(service))

    assert await builder.push(image, wire.reference("sensor").with_tag("v2"))
    assert wire.received < 10_000


@pytest.mark.parametrize("tag", ["", "v1"])
async def test_no_change_is_one_head_and_not_a_byte(wire: Wire, builder: Builder, service: Path, tag: str) -> None:
    target = wire.reference("sensor").with_tag(tag) if tag else wire.reference("sensor")
    await builder.push(await builder.build(request(service)), target)
    wire.forget()
    image = await builder.build(request(service))

    assert not await builder.push(image, target)
    assert wire.requests == [f"HEAD /v2/lab/sensor/manifests/{tag or image.digest}"]
    assert wire.received == 0


async def test_a_second_service_mounts_base_and_packages_also_for_another_process(
    wire: Wire, builder: Builder, service: Path, tmp_path: Path
) -> None:
    await builder.push(await builder.build(request(service)), wire.reference("sensor"))
    wire.forget()
    other = Builder(cache=tmp_path / "cache", registry=wire.client, clock=VirtualClock(0.0), environ=dict(os.environ))
    image = await other.build(request(service, replace(SENSOR, name="other", env={"MODE": "other"})))
    await other.push(image, wire.reference("other"))

    assert len(image.layers) == 3
    assert wire.received < 10_000, "two layers were mounted, and the third is small"


async def test_an_index_is_pushed_after_the_images_it_names(wire: Wire, builder: Builder, service: Path) -> None:
    bare = replace(SENSOR, base="scratch", static=".", entrypoint=("/app/server",))
    images: list[BuiltImage] = [
        await builder.build(request(service, bare, Platform("linux", architecture)))
        for architecture in ("amd64", "arm64")
    ]
    index = compose_index(images)
    await builder.push(index, wire.reference("sensor").with_tag("v1"))

    resolved = await wire.client.resolve(wire.reference("sensor").with_tag("v1"))
    assert (resolved.digest, resolved.media_type) == (index.digest, media.OCI_INDEX)
    for platform in ("amd64", "arm64"):
        found = await wire.client.image(wire.reference("sensor").with_tag("v1"), Platform("linux", platform))
        assert found.config.platform.architecture == platform
    wire.forget()
    assert not await builder.push(index, wire.reference("sensor").with_tag("v1"))
    assert len(wire.requests) == 1
