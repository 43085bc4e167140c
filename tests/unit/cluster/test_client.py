import asyncio
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from fakes.clock import VirtualClock
from fakes.manifests import CONFIG_MAP, config_map, options
from towpath.cluster.client import EmbeddedClient
from towpath.cluster.kernel import Kernel
from towpath.kube.errors import ApiNotFoundError
from towpath.kube.objects import ObjectKey
from towpath.kube.requests import DeleteOptions, FieldValidation
from towpath.reconcile.ports import ResourceClient


@pytest.fixture
def new_uid() -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"00000000-0000-4000-8000-{next(numbers):012x}"


@pytest.fixture
def kernel(tmp_path: Path, new_uid: Callable[[], str]) -> Iterator[Kernel]:
    kernel = Kernel.open(tmp_path / "cluster", clock=VirtualClock(), new_uid=new_uid)
    yield kernel
    kernel.close()


async def test_it_satisfies_the_port(kernel: Kernel) -> None:
    client: ResourceClient = EmbeddedClient(kernel)
    await client.create(config_map("a"), options())
    assert (await client.get(CONFIG_MAP, "a", "default"))["metadata"]["name"] == "a"


async def test_warnings_reach_whoever_wants_them(kernel: Kernel) -> None:
    heard: list[tuple[ObjectKey, str]] = []
    client = EmbeddedClient(kernel, on_warning=lambda key, text: heard.append((key, text)))
    await client.create({**config_map("a"), "dta": {}}, options(validation=FieldValidation.WARN))
    assert heard == [(ObjectKey("", "ConfigMap", "default", "a"), 'unknown field "dta"')]


async def test_a_run_of_writes_lets_others_have_their_turn(kernel: Kernel) -> None:
    client = EmbeddedClient(kernel)
    turns: list[str] = []

    async def write() -> None:
        for number in range(3):
            await client.create(config_map(f"n{number}"), options())
            turns.append("write")

    async def other() -> None:
        for _ in range(3):
            turns.append("other")
            await asyncio.sleep(0)

    await asyncio.gather(write(), other())
    assert turns[:4] == ["other", "write", "other", "write"]


async def test_a_write_cancelled_before_its_turn_is_not_done(kernel: Kernel) -> None:
    client = EmbeddedClient(kernel)
    writing = asyncio.ensure_future(client.create(config_map("a"), options()))
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    with pytest.raises(ApiNotFoundError):
        await client.get(CONFIG_MAP, "a", "default")


async def test_deleting_asks_the_kernel(kernel: Kernel) -> None:
    client = EmbeddedClient(kernel)
    await client.create(config_map("a"), options())
    await client.delete(CONFIG_MAP, "a", "default", DeleteOptions())
    assert (await client.list(CONFIG_MAP)).items == []
