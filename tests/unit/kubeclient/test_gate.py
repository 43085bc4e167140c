import asyncio

import pytest

from towpath.kubeclient.gate import FairGate


async def hold(gate: FairGate, flow: str, order: list[str], name: str, leave: asyncio.Event) -> None:
    async with gate.enter(flow):
        order.append(name)
        await leave.wait()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_no_more_than_the_limit_are_inside() -> None:
    gate, order, leave = FairGate(2), list[str](), asyncio.Event()
    tasks = [asyncio.create_task(hold(gate, "a", order, str(number), leave)) for number in range(5)]
    await settle()
    assert order == ["0", "1"]
    leave.set()
    await asyncio.gather(*tasks)
    assert order == ["0", "1", "2", "3", "4"]


async def test_flows_take_turns_however_long_one_s_queue_is() -> None:
    gate, order, leave = FairGate(1), list[str](), asyncio.Event()
    flows = ["big"] * 4 + ["small"] * 2
    tasks = [asyncio.create_task(hold(gate, "first", order, "first", leave))]
    await settle()
    for number, flow in enumerate(flows):
        tasks.append(asyncio.create_task(hold(gate, flow, order, f"{flow}{number}", leave)))
        await settle()
    leave.set()
    await asyncio.gather(*tasks)
    assert order == ["first", "big0", "small4", "big1", "small5", "big2", "big3"]


async def test_who_is_cancelled_while_waiting_gives_up_the_turn() -> None:
    gate, order, leave = FairGate(1), list[str](), asyncio.Event()
    tasks = [asyncio.create_task(hold(gate, flow, order, flow, leave)) for flow in "abc"]
    await settle()
    tasks[1].cancel()
    await settle()
    leave.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == ["a", "c"]


async def test_a_place_given_in_the_moment_of_a_cancellation_is_passed_on() -> None:
    gate, order, leave = FairGate(1), list[str](), asyncio.Event()
    first = asyncio.create_task(hold(gate, "a", order, "a", leave))
    await settle()
    second = asyncio.create_task(hold(gate, "b", order, "b", leave))
    third = asyncio.create_task(hold(gate, "c", order, "c", leave))
    await settle()
    leave.set()
    first.add_done_callback(lambda _: second.cancel())
    await asyncio.gather(first, second, third, return_exceptions=True)
    assert order[-1] == "c"
    async with asyncio.timeout(120), gate.enter("d"):
        order.append("d")
    assert order[-1] == "d"


async def test_who_fails_inside_leaves() -> None:
    gate = FairGate(1)
    with pytest.raises(ValueError, match="inside"):
        async with gate.enter("a"):
            raise ValueError("inside")
    async with asyncio.timeout(120), gate.enter("a"):
        pass
