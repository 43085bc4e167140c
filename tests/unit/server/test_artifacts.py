"""The embedded registry's accounts, as the clients of an environment see them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.applications import Starlette

from fakes.platform import free_ports
from towpath.aio.clock import SystemClock
from towpath.http.server import Listener
from towpath.oci.reference import Reference
from towpath.ociclient.errors import PullCause, PullError, PushError
from towpath.registry.protocol.exchange import PushEvent
from towpath.server.artifacts import Artifacts
from towpath.server.credentials import load_or_create, with_pull_accounts

MEDIA = "application/vnd.oci.image.index.v1+json"
EMPTY_INDEX = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'


class Running:
    """A registry on a port of its own."""

    def __init__(self, directory: Path) -> None:
        (port,) = free_ports(1)
        self.host = f"127.0.0.1:{port}"
        self.pushed: list[PushEvent] = []
        clock = SystemClock()
        credentials = with_pull_accounts(directory, load_or_create(directory), ["dev"])
        self.artifacts = Artifacts(directory / "registry", host=self.host, credentials=credentials, clock=clock)
        self.artifacts.admit("dev", credentials, f"{self.host}/home")
        routes = list(self.artifacts.routes(self.take))
        self.listener = Listener(Starlette(routes=routes), host="127.0.0.1", port=port, clock=clock)

    async def take(self, event: PushEvent) -> None:
        self.pushed.append(event)

    def reference(self, repository: str) -> Reference:
        return Reference.parse(f"{self.host}/{repository}:canary")


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    found = Running(tmp_path)
    await found.artifacts.start()
    await found.listener.start()
    yield found
    await found.listener.close()
    await found.artifacts.close()


async def test_the_platform_may_push_and_hears_of_it(running: Running) -> None:
    digest = await running.artifacts.client().push_manifest(running.reference("home/sensor"), EMPTY_INDEX, MEDIA)

    assert [(event.repository, event.tag, event.digest) for event in running.pushed] == [
        ("home/sensor", "canary", str(digest))
    ]


async def test_an_environment_may_pull_what_is_the_platforms_and_nothing_else(running: Running) -> None:
    platform, dev = running.artifacts.client(), running.artifacts.client_of("dev")
    for repository in ("home/sensor", "other/sensor"):
        await platform.push_manifest(running.reference(repository), EMPTY_INDEX, MEDIA)

    assert (await dev.manifest(running.reference("home/sensor"))).content == EMPTY_INDEX
    with pytest.raises(PullError) as refused:
        await dev.manifest(running.reference("other/sensor"))
    assert refused.value.cause in {PullCause.ACCESS_DENIED, PullCause.FORBIDDEN}
    with pytest.raises(PushError, match="pull-dev may not push"):
        await dev.push_manifest(running.reference("home/sensor"), EMPTY_INDEX, MEDIA)


async def test_clients_are_made_once(running: Running) -> None:
    assert running.artifacts.client() is running.artifacts.client()
    assert running.artifacts.client_of("dev") is running.artifacts.client_of("dev")
    assert running.artifacts.client_of("dev") is not running.artifacts.client()


async def test_it_serves_its_own_address_only(running: Running) -> None:
    assert running.artifacts.serves(f"{running.host}/home")
    assert not running.artifacts.serves("ghcr.io/ada/home")
