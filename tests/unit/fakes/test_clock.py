import asyncio

from fakes.clock import START, VirtualClock


async def test_time_stands_still_until_it_is_moved() -> None:
    clock = VirtualClock()
    assert clock.now() == START
    await clock.advance(1.5)
    assert (clock.now(), clock.monotonic()) == (START + 1.5, 1.5)


async def test_sleepers_wake_in_the_order_of_their_moments_and_see_their_own_time() -> None:
    clock = VirtualClock()
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.monotonic()))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(sleeper("late", 5))
        tasks.create_task(sleeper("early", 2))
        await clock.settle()
        assert clock.sleepers == 2
        await clock.advance(10)
    assert woken == [("early", 2.0), ("late", 5.0)]


async def test_a_loop_that_sleeps_again_wakes_as_often_as_its_period_fits() -> None:
    clock = VirtualClock()
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await clock.sleep(10)
            ticks += 1

    task = asyncio.create_task(tick())
    await clock.advance(35)
    assert ticks == 3
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_cancelled_sleeper_is_not_woken() -> None:
    clock = VirtualClock()
    task = asyncio.create_task(clock.sleep(1))
    await clock.settle()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert clock.sleepers == 0
    await clock.advance(2)
