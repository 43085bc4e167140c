"""Children that are started by someone who is cancelled meanwhile."""

import asyncio
import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from towpath.aio.children import start_child

SLEEPER = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"]
DEADLINE_SECONDS = 60


def children() -> set[int]:
    found = set()
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            found |= {int(pid) for pid in (thread / "children").read_text().split()}
    return found


async def nobody_but(before: set[int]) -> None:
    """Wait until no other child is left: the kernel's list of them may lag behind their end."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while children() != before:  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("turns", range(8))
@pytest.mark.parametrize("stdin", [subprocess.PIPE, subprocess.DEVNULL])
async def test_a_start_that_is_cancelled_at_any_turn_of_the_loop_ends_and_leaves_no_child(
    tmp_path: Path, turns: int, stdin: int
) -> None:
    before = children()
    starting = asyncio.create_task(start_child(SLEEPER, cwd=tmp_path, env=dict(os.environ), stdin=stdin))
    for _ in range(turns):
        await asyncio.sleep(0)
    if not starting.done():
        starting.cancel()
    await asyncio.wait({starting}, timeout=DEADLINE_SECONDS)
    assert starting.done(), "it hangs"
    if not starting.cancelled():
        starting.result().kill()
        await starting.result().communicate()
    await nobody_but(before)


async def test_a_second_cancellation_leaves_no_child_either(tmp_path: Path) -> None:
    before = children()
    starting = asyncio.create_task(start_child(SLEEPER, cwd=tmp_path, env={}, stdin=subprocess.PIPE))
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.wait({starting}, timeout=DEADLINE_SECONDS)
    assert starting.cancelled()
    await nobody_but(before)


def test_an_event_loop_can_end_in_the_middle_of_a_start() -> None:
    program = (
        "import asyncio, os, sys\n"
        "from pathlib import Path\n"
        "from towpath.aio.children import finish_starts, start_child\n"
        "async def main():\n"
        "    task = asyncio.create_task(start_child(sys.argv[1:], cwd=Path('/'), env=dict(os.environ), stdin=-1))\n"
        "    await asyncio.sleep(0); await asyncio.sleep(0)\n"
        "    await finish_starts()\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", program, *SLEEPER], timeout=DEADLINE_SECONDS, check=False)
    assert done.returncode == 0


async def test_a_program_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await start_child([tmp_path / "nothing"], cwd=tmp_path, env={}, stdin=subprocess.DEVNULL)
