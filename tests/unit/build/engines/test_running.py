"""Running an engine: its lines arrive as they are printed, and nothing of it stays behind."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from towpath.build.engines.engine import EngineFailedError, EngineMissingError
from towpath.build.engines.running import KEPT_LINES, LONGEST_LINE, Command, Ended, run_command

PATIENCE_SECONDS = 60.0
NEVER_SECONDS = 3600.0


def python(program: str) -> Command:
    return Command((sys.executable, "-u", "-c", program))


async def run(
    command: Command, tmp_path: Path, lines: list[str] | None = None, *, timeout_seconds: float = NEVER_SECONDS
) -> Ended:
    said: list[str] = [] if lines is None else lines
    return await run_command(
        command, cwd=tmp_path, environ=os.environ, timeout_seconds=timeout_seconds, on_line=said.append
    )


async def gone(pid: int) -> None:
    """Wait until no process has this id (a zombie counts as gone)."""

    def lives() -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    async with asyncio.timeout(PATIENCE_SECONDS):
        while lives():  # noqa: ASYNC110 - the kernel sets no Event
            await asyncio.sleep(0.01)


async def test_both_streams_are_passed_on_line_by_line(tmp_path: Path) -> None:
    lines: list[str] = []
    program = "import sys; print('out'); print('err', file=sys.stderr); print('no end', end=''); sys.exit(3)"
    ended = await run(python(program), tmp_path, lines)
    assert (ended.returncode, sorted(lines)) == (3, ["err", "no end", "out"])
    assert set(ended.lines) == set(lines)


async def test_a_line_arrives_while_the_program_runs(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    heard = asyncio.Event()
    program = (
        f"import os, time\nprint('first')\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)\nprint('second')"
    )

    def on_line(line: str) -> None:
        if line == "first":
            heard.set()

    running = asyncio.create_task(
        run_command(python(program), cwd=tmp_path, environ=os.environ, timeout_seconds=NEVER_SECONDS, on_line=on_line)
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        await heard.wait()
        gate.touch()
        assert (await running).lines == ("first", "second")


async def test_bars_that_redraw_themselves_are_told_as_they_end(tmp_path: Path) -> None:
    lines: list[str] = []
    await run(python(r"print('10%\r50%\r100%')"), tmp_path, lines)
    assert lines == ["100%"]


async def test_a_line_without_end_is_cut_and_a_flood_is_bounded(tmp_path: Path) -> None:
    lines: list[str] = []
    ended = await run(python(f"print('x' * {LONGEST_LINE * 3}); [print(n) for n in range(1000)]"), tmp_path, lines)
    assert max(map(len, lines)) <= LONGEST_LINE
    assert len(ended.lines) == KEPT_LINES
    assert ended.lines[-1] == "999"


async def test_bytes_that_are_no_text_do_no_harm(tmp_path: Path) -> None:
    lines: list[str] = []
    await run(python(r"import sys; sys.stdout.buffer.write(b'\xff\xfe ok\n')"), tmp_path, lines)
    assert lines[0].endswith("ok")


async def test_the_commands_own_variables_are_set(tmp_path: Path) -> None:
    command = Command((sys.executable, "-c", "import os; print(os.environ['EPOCH'])"), {"EPOCH": "7"})
    assert (await run(command, tmp_path)).lines == ("7",)


async def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineMissingError, match="nowhere"):
        await run(Command(("/nowhere",)), tmp_path)


# A child of its own that outlives it unless the group is ended; both say who they are.
FAMILY = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
print(os.getpid(), child.pid)
time.sleep(3600)
"""


async def test_a_time_out_ends_the_program_and_its_children(tmp_path: Path) -> None:
    lines: list[str] = []
    patience = 1.0
    while not lines:  # a slow machine has not started the family yet when the time is out: it is given more
        with pytest.raises(EngineFailedError, match="Timeout"):
            await run(python(FAMILY), tmp_path, lines, timeout_seconds=patience)
        patience *= 4
    for pid in lines[0].split():
        await gone(int(pid))


async def cancel_once_it_speaks(command: Command, tmp_path: Path) -> list[int]:
    """The numbers that a program prints first; it is cancelled then."""
    spoken: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(
        run_command(command, cwd=tmp_path, environ=os.environ, timeout_seconds=NEVER_SECONDS, on_line=spoken.set_result)
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        line = await spoken
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    return [int(text) for text in line.split()]


async def test_a_cancelled_build_ends_the_program_and_its_children(tmp_path: Path) -> None:
    for pid in await cancel_once_it_speaks(python(FAMILY), tmp_path):
        await gone(pid)


async def test_a_program_that_does_not_want_to_end_is_killed(tmp_path: Path) -> None:
    program = (
        "import os, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint(os.getpid())\ntime.sleep(3600)"
    )
    (pid,) = await cancel_once_it_speaks(python(program), tmp_path)
    await gone(pid)
