"""A child program ends with its caller's wait, whatever it does."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from towpath.aio.process import Completed, ProcessError, run
from towpath.errors import UserError


async def python(program: str, directory: Path, *, timeout_seconds: float = 30.0, most: int = 1000) -> Completed:
    return await run(
        [sys.executable, "-c", program], cwd=directory, env={}, timeout_seconds=timeout_seconds, most_output_bytes=most
    )


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_output_and_exit_code_come_back_apart(tmp_path: Path) -> None:
    program = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"

    assert await python(program, tmp_path) == Completed(3, b"out\n", b"err\n")


async def test_a_child_has_the_environment_and_the_directory_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOWPATH_TEST_SECRET", "ours")
    program = "import os; print(os.getcwd(), 'TOWPATH_TEST_SECRET' in os.environ)"

    assert (await python(program, tmp_path)).stdout == f"{tmp_path} False\n".encode()


async def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing could not be started \(NotInstalled\)"):
        await run([tmp_path / "nothing"], cwd=tmp_path, env={}, timeout_seconds=1, most_output_bytes=1)


async def test_a_child_that_hangs_is_killed(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match=r"did not end \(Timeout\): 0.2 s passed"):
        await python("import time; time.sleep(600)", tmp_path, timeout_seconds=0.2)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_a_child_that_never_stops_talking_is_killed(tmp_path: Path, stream: str) -> None:
    program = f"import sys\nwhile True: sys.{stream}.write('x' * 4096)"

    with pytest.raises(ProcessError, match="more than 1000 bytes"):
        await python(program, tmp_path)


async def test_a_cancelled_wait_leaves_no_child(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "told")
    program = "import os, time\nopen('told', 'w').write(str(os.getpid()))\ntime.sleep(600)"
    waiting = asyncio.create_task(python(program, tmp_path))
    pid = int(await asyncio.to_thread((tmp_path / "told").read_text))

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert not is_running(pid)
