"""One worker a key at a time, and a failed key comes back."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from towpath.aio.backoff import Backoff
from towpath.aio.workqueue import WorkQueue


class Works:
    """Two workers over one queue; each piece of work ends when the test lets it."""

    def __init__(self) -> None:
        self.queue: WorkQueue[str] = WorkQueue(Backoff(initial_seconds=0.001))
        self.begun: asyncio.Queue[str] = asyncio.Queue()
        self.outcome: asyncio.Queue[Exception | None] = asyncio.Queue()
        self.reported: list[tuple[str, str]] = []

    async def reconcile(self, key: str) -> None:
        self.begun.put_nowait(key)
        outcome = await self.outcome.get()
        if outcome is not None:
            raise outcome

    def report(self, key: str, error: Exception) -> None:
        self.reported.append((key, str(error)))


@pytest.fixture
async def works() -> AsyncIterator[Works]:
    works = Works()
    workers = [asyncio.create_task(works.queue.work(works.reconcile, works.report)) for _ in range(2)]
    yield works
    works.queue.close()
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)


async def test_a_key_added_twice_is_worked_once(works: Works) -> None:
    works.queue.add("a")
    works.queue.add("a")
    works.queue.add("b")

    assert [await works.begun.get(), await works.begun.get()] == ["a", "b"]
    assert works.begun.empty()


async def test_a_key_added_while_it_is_worked_on_is_worked_again_and_not_beside(works: Works) -> None:
    works.queue.add("a")
    await works.begun.get()
    works.queue.add("a")
    works.queue.add("b")  # the other worker has nothing else to do, and yet leaves `a` alone
    assert await works.begun.get() == "b"
    assert works.begun.empty()

    works.outcome.put_nowait(None)

    assert await works.begun.get() == "a"


async def test_a_failed_key_is_reported_and_comes_back(works: Works) -> None:
    works.queue.add("a")
    await works.begun.get()
    works.outcome.put_nowait(ValueError("no luck"))

    assert await works.begun.get() == "a"
    assert works.reported == [("a", "no luck")]


async def test_adding_cuts_a_delay_short(works: Works) -> None:
    works.queue.add_after("a", 3600)
    works.queue.add("a")

    assert await works.begun.get() == "a"
