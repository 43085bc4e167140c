"""Pull secrets are replaced step by step: distributed, seen everywhere, overlapped, forgotten."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fakes.clock import VirtualClock
from towpath.errors import NotFoundError
from towpath.kube.errors import ApiNotFoundError
from towpath.kube.objects import GVK, Object
from towpath.kube.requests import ObjectList, WatchEvent
from towpath.server.pullaccounts import PullAccounts
from towpath.server.rotation import GRACE_SECONDS, LOOK_SECONDS, Rotation


class World:
    """Namespaces that hold what a test has put there; a `Distribution` and a `ResourceReader`."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.clock = VirtualClock()
        self.accounts = PullAccounts(state, clock=self.clock, on_change=lambda _: None)
        self.accounts.admit("dev")
        self.namespaces: dict[str, frozenset[str]] = {"dev": frozenset({"a", "b"})}
        self.held: dict[str, str] = {}
        self.asked: list[tuple[str, str]] = []
        self.while_asked: Callable[[], None] = lambda: None
        self.rotation = self.make()

    def make(self) -> Rotation:
        return Rotation(
            self.accounts,
            self,
            self,
            reconcile=lambda name, reason: self.asked.append((name, reason)),
            last_used=lambda *_: None,
            clock=self.clock,
        )

    def find_namespaces(self, environment: str) -> frozenset[str] | None:
        return self.namespaces.get(environment)

    def content(self, environment: str) -> str:
        return self.accounts.get(environment).current.secret

    async def get(self, gvk: GVK, name: str, namespace: str = "") -> Object:
        await asyncio.sleep(0)
        self.while_asked()
        if namespace not in self.held:
            raise ApiNotFoundError(f"{gvk.kind} {name} not found")
        return {"data": {".dockerconfigjson": self.held[namespace]}}

    async def list(self, gvk: GVK, namespace: str = "", *, labels: str = "", fields: str = "") -> ObjectList:
        raise AssertionError((gvk, namespace, labels, fields))

    def watch(
        self, gvk: GVK, namespace: str = "", *, labels: str = "", fields: str = "", resource_version: str = ""
    ) -> AsyncIterator[WatchEvent]:
        raise AssertionError((gvk, namespace, labels, fields, resource_version))

    def distribute(self, *namespaces: str, environment: str = "dev") -> None:
        self.held |= dict.fromkeys(namespaces, self.content(environment))

    @property
    def count(self) -> int:
        """How many secrets open the registry for `dev`."""
        return len(self.accounts.get("dev").secrets)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.rotation.run())
        try:
            await self.clock.settle()
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def state_of(self) -> str:
        (document,) = [one for one in await self.rotation.describe() if one["environment"] == "dev"]
        return str(document["state"])


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_the_old_secret_ends_a_grace_period_after_the_new_one_is_everywhere(world: World) -> None:
    async with world.running():
        assert world.rotation.rotate("dev") == ["dev"]
        assert world.asked == [("dev", "pull secret rotated")]
        world.distribute("a")
        await world.clock.advance(100 * LOOK_SECONDS)
        assert (world.count, await world.state_of()) == (2, "distributing")
        world.distribute("b")
        await world.clock.advance(LOOK_SECONDS)
        assert (world.count, await world.state_of()) == (2, "overlapping")
        await world.clock.advance(GRACE_SECONDS - 1)
        assert world.count == 2
        await world.clock.advance(400)
        assert (world.count, await world.state_of()) == (1, "current")


async def test_while_it_is_not_known_where_the_secret_belongs_nothing_ends(world: World) -> None:
    world.namespaces.clear()
    async with world.running():
        world.rotation.rotate("dev")
        await world.clock.advance(3600)
        assert (world.count, await world.state_of()) == (2, "distributing")


async def test_an_environment_without_namespaces_has_nothing_to_wait_for(world: World) -> None:
    world.namespaces["dev"] = frozenset()
    async with world.running():
        world.rotation.rotate("dev")
        await world.clock.advance(LOOK_SECONDS)
        assert await world.state_of() == "overlapping"


async def test_a_restart_goes_on_where_the_last_run_stopped(world: World) -> None:
    world.rotation.rotate("dev")
    world.accounts = PullAccounts(world.state, clock=world.clock, on_change=lambda _: None)
    world.rotation = world.make()
    world.distribute("a", "b")
    async with world.running():
        await world.clock.advance(LOOK_SECONDS)
        assert await world.state_of() == "overlapping"


async def test_a_second_rotation_during_the_look_is_not_taken_for_distributed(world: World) -> None:
    async with world.running():
        world.rotation.rotate("dev")
        world.distribute("a", "b")

        def again() -> None:
            world.while_asked = lambda: None
            world.rotation.rotate("dev")

        world.while_asked = again
        await world.clock.advance(LOOK_SECONDS)
        assert [one.expires_at for one in world.accounts.get("dev").secrets] == [None, None, None]
        world.distribute("a", "b")
        await world.clock.advance(LOOK_SECONDS)
        assert not world.accounts.get("dev").is_replacing


async def test_all_environments_are_rotated_when_none_is_named(world: World) -> None:
    world.accounts.admit("prod")
    assert world.rotation.rotate("") == ["dev", "prod"]
    assert [name for name, _ in world.asked] == ["dev", "prod"]
    with pytest.raises(NotFoundError, match="qa"):
        world.rotation.rotate("qa")


async def test_a_description_tells_everything_but_the_secret(world: World) -> None:
    world.accounts.allow("dev", ["home/lamp"])
    world.distribute("a")
    world.clock.step(90)
    (document,) = await world.rotation.describe()
    assert world.accounts.get("dev").current.secret not in repr(document)
    assert {key: document[key] for key in ("account", "repositories", "namespaces", "waiting", "age_seconds")} == {
        "account": "pull-dev",
        "repositories": ["home/lamp"],
        "namespaces": ["a", "b"],
        "waiting": ["b"],
        "age_seconds": 90,
    }
