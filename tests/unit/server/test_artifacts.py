"""The embedded registry's accounts, as their clients see them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.applications import Starlette

from fakes.platform import free_ports
from towpath.aio.clock import SystemClock
from towpath.http.server import Listener
from towpath.oci.keyring import Keyring
from towpath.oci.reference import Reference
from towpath.ociclient.client import RegistryClient
from towpath.ociclient.errors import PullCause, PullError, PushError
from towpath.registry.protocol.exchange import PushEvent
from towpath.server.artifacts import Artifacts
from towpath.server.credentialfile import load_or_create
from towpath.server.manner import Manner

MEDIA = "application/vnd.oci.image.index.v1+json"
EMPTY_INDEX = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'


class Running:
    """A registry on a port of its own."""

    def __init__(self, directory: Path) -> None:
        (port,) = free_ports(1)
        self.host = f"127.0.0.1:{port}"
        self.pushed: list[PushEvent] = []
        clock = SystemClock()
        self.artifacts = Artifacts(
            directory,
            host=self.host,
            credentials=load_or_create(directory),
            clock=clock,
            manner=Manner(anonymous=["open/*"]),
        )
        self.artifacts.admit("dev", f"{self.host}/home")
        routes = list(self.artifacts.routes(self.take))
        self.listener = Listener(Starlette(routes=routes), host="127.0.0.1", port=port, clock=clock)
        self.dev = RegistryClient(keyring=Keyring.parse(self.artifacts.pull_secret("dev")), clock=clock)

    async def take(self, event: PushEvent) -> None:
        self.pushed.append(event)

    def reference(self, repository: str) -> Reference:
        return Reference.parse(f"{self.host}/{repository}:canary")

    async def push(self, *repositories: str) -> None:
        for repository in repositories:
            await self.artifacts.client().push_manifest(self.reference(repository), EMPTY_INDEX, MEDIA)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    found = Running(tmp_path)
    await found.artifacts.start()
    await found.listener.start()
    yield found
    await found.dev.close()
    await found.listener.close()
    await found.artifacts.close()


async def test_the_platform_may_push_and_hears_of_it(running: Running) -> None:
    digest = await running.artifacts.client().push_manifest(running.reference("home/sensor"), EMPTY_INDEX, MEDIA)

    assert [(event.repository, event.tag, event.digest) for event in running.pushed] == [
        ("home/sensor", "canary", str(digest))
    ]


async def test_an_environment_may_pull_what_it_pins_and_nothing_else(running: Running) -> None:
    await running.push("home/sensor", "home/lamp")
    running.artifacts.pull_accounts.allow("dev", ["home/sensor"])

    assert (await running.dev.manifest(running.reference("home/sensor"))).content == EMPTY_INDEX
    with pytest.raises(PullError) as refused:
        await running.dev.manifest(running.reference("home/lamp"))
    assert refused.value.cause in {PullCause.ACCESS_DENIED, PullCause.FORBIDDEN}
    with pytest.raises(PushError, match="pull-dev may not push"):
        await running.dev.push_manifest(running.reference("home/sensor"), EMPTY_INDEX, MEDIA)


async def test_what_it_pins_no_longer_is_shut_at_the_next_request(running: Running) -> None:
    await running.push("home/sensor", "home/lamp")
    running.artifacts.pull_accounts.allow("dev", ["home/sensor", "home/lamp"])
    await running.dev.manifest(running.reference("home/sensor"))

    running.artifacts.pull_accounts.narrow("dev", ["home/lamp"])

    with pytest.raises(PullError):
        await running.dev.manifest(running.reference("home/sensor"))
    assert (await running.dev.manifest(running.reference("home/lamp"))).content == EMPTY_INDEX


async def test_both_secrets_open_the_registry_while_one_replaces_the_other(running: Running) -> None:
    await running.push("home/sensor")
    running.artifacts.pull_accounts.allow("dev", ["home/sensor"])
    running.artifacts.pull_accounts.rotate("dev")
    newer = RegistryClient(keyring=Keyring.parse(running.artifacts.pull_secret("dev")))

    for client in (running.dev, newer):
        assert (await client.manifest(running.reference("home/sensor"))).content == EMPTY_INDEX
    running.artifacts.pull_accounts.retire("dev", expires_at=0.0)
    with pytest.raises(PullError):
        await running.dev.manifest(running.reference("home/sensor"))
    assert (await newer.manifest(running.reference("home/sensor"))).content == EMPTY_INDEX
    await newer.close()


async def test_the_gate_looks_with_the_newest_secret_of_the_environment(running: Running) -> None:
    await running.push("home/sensor")
    running.artifacts.pull_accounts.allow("dev", ["home/sensor"])
    before = running.artifacts.client_of("dev")
    running.artifacts.pull_accounts.rotate("dev")
    running.artifacts.pull_accounts.retire("dev", expires_at=0.0)
    after = running.artifacts.client_of("dev")

    assert (await after.manifest(running.reference("home/sensor"))).content == EMPTY_INDEX
    with pytest.raises(PullError):
        await before.manifest(running.reference("home/sensor"))
    with pytest.raises(PushError):
        await after.push_manifest(running.reference("home/sensor"), EMPTY_INDEX, MEDIA)


async def test_everybody_may_pull_what_the_user_has_opened(running: Running) -> None:
    await running.push("open/app", "home/sensor")
    anyone = RegistryClient()

    assert (await anyone.manifest(running.reference("open/app"))).content == EMPTY_INDEX
    with pytest.raises(PullError):
        await anyone.manifest(running.reference("home/sensor"))
    await anyone.close()


async def test_clients_are_made_once(running: Running) -> None:
    assert running.artifacts.client() is running.artifacts.client()
    assert running.artifacts.client_of("dev") is running.artifacts.client_of("dev")
    assert running.artifacts.client_of("dev") is not running.artifacts.client()


async def test_it_serves_its_own_address_only(running: Running) -> None:
    assert running.artifacts.serves(f"{running.host}/home")
    assert not running.artifacts.serves("ghcr.io/ada/home")


async def test_a_service_is_below_its_environments_prefix(running: Running) -> None:
    assert running.artifacts.repository_of("dev", "lamp") == "home/lamp"
    running.artifacts.admit("bare", running.host)
    assert running.artifacts.repository_of("bare", "lamp") == "lamp"
