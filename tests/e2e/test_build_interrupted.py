"""However a build is told to stop: its engine ends with all it started, nothing stays staged, the exit code tells."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.worktree import Worktree

# As from a terminal: whoever starts the tests in the background has their children ignore SIGINT.
TOWPATH = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "signal.signal(signal.SIGHUP, signal.SIG_DFL); from towpath.cli.main import run; run()"
)
# Starts a child of its own, as engines do, tells both ids, and would go on for ever.
ENGINE = """#!/bin/sh
case "$*" in *version*) echo "buildah version 1.28.2"; exit 0 ;; esac
sleep 100000 &
echo "$$ $!" > {pids}.new && mv {pids}.new {pids}
echo STEP
wait
"""


@pytest.fixture
def building(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], list[int], Path]]:
    """A build whose engine is at work: the process, the engine's and its child's ids, the repository."""
    lab = Worktree(tmp_path / "lab")
    lab.commit({"towpath.yaml": "registry: r.example/lab\n", "services/web/Dockerfile": "FROM scratch\n"})
    pids, program = tmp_path / "pids", tmp_path / "bin" / "buildah"
    program.parent.mkdir()
    program.write_text(ENGINE.format(pids=pids))
    program.chmod(0o755)
    env = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    argv = [sys.executable, "-c", TOWPATH, "build", "--engine", "buildah"]
    process = subprocess.Popen(
        argv, cwd=lab.path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "STEP" in line:
            break
    else:
        pytest.fail(f"no engine: {process.wait()}")
    ids = [int(word) for word in pids.read_text().split()]
    yield process, ids, lab.path
    for pid in [process.pid, *ids]:
        if is_running(pid):
            os.kill(pid, signal.SIGKILL)
    process.communicate()


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it is not only waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_ends_the_engine_and_leaves_nothing_staged(
    building: tuple[subprocess.Popen[str], list[int], Path], number: signal.Signals
) -> None:
    process, engine, root = building
    process.send_signal(number)
    _, said = process.communicate(timeout=120)

    assert process.returncode == 128 + number
    assert [is_running(pid) for pid in engine] == [False, False]
    assert list((root / ".towpath" / "build" / "staging").iterdir()) == []
    assert "web: interrupted after" in said
    assert said.splitlines()[-1] == "towpath: interrupted"
    assert "built" not in said
