"""An agent that stops, is killed, and comes back."""

import asyncio
import os
import signal
import sys
import textwrap
from pathlib import Path

from fakes.node_world import NodeWorld, command, container_status, is_ready, make_pod, node_world, phase_is
from towpath.cluster.node.housekeeping import machine_name
from towpath.kube.objects import find_path

SOURCE = Path(__file__).parent.parent


async def test_pods_of_a_stopped_agent_start_again_with_their_count_of_restarts(tmp_path: Path) -> None:
    async with node_world(tmp_path) as world:
        await world.run_pod("web")
        await world.create(make_pod("crash", container=command("raise SystemExit(1)")))
        await world.wait_for("crash", lambda pod: container_status(pod).get("restartCount") == 1)
    async with node_world(tmp_path) as world:
        pod = await world.wait_for("web", lambda pod: is_ready(pod) and has_new_container(world, pod))
        assert container_status(pod)["restartCount"] == 0
        crash = await world.wait_for("crash", lambda pod: container_status(pod).get("restartCount", 0) >= 1)
        assert container_status(crash)["restartCount"] >= 1


async def test_a_pod_that_never_restarts_is_lost_with_its_agent(tmp_path: Path) -> None:
    async with node_world(tmp_path) as world:
        await world.create(make_pod("job", container=command("import time; time.sleep(600)"), restartPolicy="Never"))
        await world.wait_for("job", is_ready)
    async with node_world(tmp_path) as world:
        pod = await world.wait_for("job", phase_is("Failed"))
        assert find_path(container_status(pod), "state", "terminated", "reason") == "ContainerStatusUnknown"


async def test_a_pod_deleted_while_the_agent_was_away_is_cleaned_up(tmp_path: Path) -> None:
    async with node_world(tmp_path) as world:
        await world.run_pod("web")
        kernel_pod = await world.wait_for("web", is_ready)
        uid = kernel_pod["metadata"]["uid"]
    (tmp_path / "node" / "pods" / "gone-long-ago").mkdir()
    async with node_world(tmp_path) as world:
        await world.wait_for("web", is_ready)
        assert {path.name for path in (tmp_path / "node" / "pods").iterdir()} == {uid}
        await world.delete_pod("web")


async def test_a_stopped_agent_leaves_nothing_outside_of_its_data(tmp_path: Path) -> None:
    async with node_world(tmp_path) as world:
        memory = {"name": "fast", "emptyDir": {"medium": "Memory"}}
        mount = {"volumeMounts": [{"name": "fast", "mountPath": "/fast"}]}
        await world.run_pod("web", container=mount, volumes=[memory])
    name = machine_name(tmp_path / "node")
    places = [Path("/dev/shm"), Path("/sys/fs/cgroup")]  # noqa: S108 - where traces would be
    assert [str(path) for place in places for path in place.glob(f"**/{name}")] == []


async def test_nothing_survives_a_killed_platform(tmp_path: Path) -> None:
    script = textwrap.dedent(
        f"""
        import asyncio, pathlib, sys
        from fakes.node_world import *
        async def main():
            async with node_world(pathlib.Path({str(tmp_path)!r})) as world:
                pod = await world.run_pod("web")
                sleep = command("import time; time.sleep(600)")
                await world.create(make_pod("host", container=sleep, hostNetwork=True))
                await world.wait_for("host", is_ready)
                print("ready", flush=True)
                await asyncio.sleep(600)
        asyncio.run(main())
        """
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SOURCE), *sys.path])}
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE, env=env, start_new_session=True
    )
    assert child.stdout is not None
    line = await asyncio.wait_for(child.stdout.readline(), 120)
    assert line == b"ready\n"
    running = descendants(child.pid)
    assert len(running) >= 6  # two brokers, and bubblewrap, its init and the server of each pod
    os.kill(child.pid, signal.SIGKILL)
    await child.wait()
    async with asyncio.timeout(120):
        while any(is_alive(pid) for pid in running):  # noqa: ASYNC110 - nobody tells of another's child
            await asyncio.sleep(0.01)
    async with node_world(tmp_path) as world:
        await world.wait_for("web", lambda pod: is_ready(pod) and has_new_container(world, pod))


def has_new_container(world: NodeWorld, pod: object) -> bool:
    return "Container started" in world.events.messages("Started") and bool(pod)


def descendants(pid: int) -> set[int]:
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        current = waiting.pop()
        for task in Path(f"/proc/{current}/task").glob("*/children"):
            children = {int(child) for child in task.read_text().split()}
            found |= children
            waiting += children
    return found


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
