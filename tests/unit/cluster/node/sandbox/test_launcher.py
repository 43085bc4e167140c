"""The broker as a real child process; what it forks are ordinary programs."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import towpath
from towpath.cluster.node.sandbox.launcher import KILLED, Launcher, SandboxError, Spawn
from towpath.cluster.node.sandbox.processes import find_children


@pytest.fixture
async def launcher() -> AsyncIterator[Launcher]:
    started = Launcher()
    await started.start()
    yield started
    await started.close()


async def run(launcher: Launcher, script: str, **changes: object) -> tuple[int, bytes]:
    output, end = os.pipe2(os.O_CLOEXEC)
    try:
        env = {"PATH": os.defpath}
        request = Spawn(argv=["sh", "-c", script], stdout=end, stderr=end, **{"env": env, **changes})  # type: ignore[arg-type]
        child = await launcher.spawn(request)
    finally:
        os.close(end)
    try:
        code = await asyncio.wait_for(child.wait(), 30)
        return code, os.read(output, 65536)
    finally:
        os.close(output)


async def test_a_child_gets_its_command_environment_and_directory(launcher: Launcher, tmp_path: Path) -> None:
    code, output = await run(
        launcher, "echo $X; pwd; exit 3", env={"X": "1", "PATH": os.defpath}, directory=str(tmp_path)
    )
    assert code == 3
    assert output.decode().splitlines() == ["1", str(tmp_path)]


async def test_a_child_has_no_descriptor_of_the_broker(launcher: Launcher) -> None:
    _, output = await run(launcher, "ls /proc/self/fd")
    assert output.split() == [b"0", b"1", b"2", b"3"]  # the last is the directory that ls reads


async def test_a_signal_is_reported_as_a_shell_reports_it(launcher: Launcher) -> None:
    assert (await run(launcher, "kill -TERM $$"))[0] == 128 + signal.SIGTERM


async def test_a_program_that_does_not_exist_ends_with_127_and_a_reason(launcher: Launcher) -> None:
    output, end = os.pipe2(os.O_CLOEXEC)
    child = await launcher.spawn(Spawn(argv=["/no/such/program"], stdout=end, stderr=end, env={}))
    os.close(end)
    assert await asyncio.wait_for(child.wait(), 30) == 127
    assert b"No such file" in os.read(output, 1000)
    os.close(output)


async def test_limits_are_in_force(launcher: Launcher) -> None:
    _, output = await run(launcher, "ulimit -n", limits={"RLIMIT_NOFILE": 77})
    assert output.strip() == b"77"


async def test_a_command_line_that_does_not_fit_is_refused_and_the_broker_lives(launcher: Launcher) -> None:
    with pytest.raises(SandboxError, match="ArgumentListTooLong"):
        await run(launcher, "x" * 200_000)
    assert (await run(launcher, "true"))[0] == 0


async def test_an_address_that_cannot_be_bound_is_an_error_with_its_number(launcher: Launcher) -> None:
    with pytest.raises(SandboxError) as caught:
        await launcher.listen("tcp", "192.0.2.1", 80)
    assert caught.value.errno
    assert (await run(launcher, "true"))[0] == 0


async def test_sockets_come_from_the_broker(launcher: Launcher) -> None:
    listening = await launcher.listen("tcp", "127.0.0.1", 0)
    first, second = await launcher.connectable(), await launcher.connectable()
    loop = asyncio.get_running_loop()
    await loop.sock_connect(first, listening.getsockname())
    accepted, _ = await loop.sock_accept(listening)
    await loop.sock_sendall(first, b"hello")
    assert await loop.sock_recv(accepted, 10) == b"hello"
    for made in (listening, first, second, accepted):
        made.close()


async def test_many_requests_at_once_are_all_answered(launcher: Launcher) -> None:
    codes = await asyncio.gather(*(run(launcher, f"exit {n}") for n in range(20)))
    assert [code for code, _ in codes] == list(range(20))


async def test_a_pod_network_is_refused_where_there_is_no_hub(launcher: Launcher) -> None:
    with pytest.raises(SandboxError, match="no pod network"):
        await launcher.add_pod("uid", "10.42.0.2")


async def test_children_of_a_lost_broker_count_as_killed_and_it_can_start_again() -> None:
    lost = asyncio.Event()
    launcher = Launcher(on_lost=lost.set)
    await launcher.start()
    null = os.open(os.devnull, os.O_WRONLY)
    child = await launcher.spawn(Spawn(argv=["sleep", "600"], stdout=null, stderr=null, env={"PATH": os.defpath}))
    os.kill(launcher.pid, signal.SIGKILL)
    assert await asyncio.wait_for(child.wait(), 30) == KILLED
    await asyncio.wait_for(lost.wait(), 30)
    with pytest.raises(SandboxError, match="Lost"):
        await launcher.spawn(Spawn(argv=["true"], stdout=null, stderr=null))
    await launcher.start()
    assert (await run(launcher, "true"))[0] == 0
    os.close(null)
    await launcher.close()


async def test_a_cancelled_request_leaves_no_child(launcher: Launcher, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    task = asyncio.create_task(run(launcher, f"sleep 0.2; touch {mark}; sleep 600"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await run(launcher, "sleep 0.5")
    assert not mark.exists()


def test_the_broker_imports_next_to_nothing() -> None:
    source = str(Path(towpath.__file__).parent.parent)
    program = (
        f"import sys; sys.path.insert(0, {source!r}); import towpath.cluster.node.sandbox.broker; "
        "print(sorted(name for name in sys.modules if name.startswith('towpath.') or name in "
        "('asyncio', 'subprocess', 'typing_extensions', 'orjson', 'httpx', 'pathlib', 'logging')))"
    )
    found = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    allowed = {"broker", "hub", "namespaces", "netlink", "sandbox", "network", "node", "cluster"}
    names = {name.strip("'[]\n ").rpartition(".")[2] for name in found.stdout.split(",")}
    assert names <= allowed


async def test_what_a_child_has_left_behind_ends_with_the_launcher() -> None:
    launcher = Launcher()
    await launcher.start()
    code, output = await run(launcher, "(setsid sleep 600 >/dev/null 2>&1 & echo $!); exit 0")
    left = int(output)
    assert (code, Path(f"/proc/{left}").exists()) == (0, True)
    await launcher.close()
    assert not Path(f"/proc/{left}").exists()


async def test_what_is_left_of_a_sandbox_is_killed(launcher: Launcher) -> None:
    argv = ["unshare", "--user", "--pid", "--fork", "sleep", "600"]
    with Path(os.devnull).open("w") as nothing:  # noqa: ASYNC230 - no disk
        child = await launcher.spawn(
            Spawn(argv=argv, stdout=nothing.fileno(), stderr=nothing.fileno(), env={"PATH": os.defpath})
        )
    async with asyncio.timeout(120):
        while not (inner := find_children(child.pid)):  # noqa: ASYNC110 - another process's fork
            await asyncio.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
        await child.wait()
        while Path(f"/proc/{inner[0]}").exists():  # noqa: ASYNC110 - another process's end
            await asyncio.sleep(0.01)
