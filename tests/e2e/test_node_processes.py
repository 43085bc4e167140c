"""Pods as plain processes, on a machine that allows no sandbox."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.node_world import (
    NodeWorld,
    command,
    container_status,
    is_ready,
    make_pod,
    node_world,
    phase_is,
    waiting_reason,
)
from towpath.kube.objects import GVK


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[NodeWorld]:
    async with node_world(tmp_path, isolation="process") as made:
        yield made


async def test_a_pod_runs_is_ready_and_ends(world: NodeWorld) -> None:
    assert world.agent.isolation.startswith("process, ")
    pod = await world.run_pod("web")
    assert await world.get(pod, "/") == "web"
    assert await world.log("web") == f"serving on {pod['status']['podIP']}\n"
    last = await world.delete_pod("web")
    assert container_status(last)["state"]["terminated"]["exitCode"] == 143
    assert list((world.directory / "node" / "pods").iterdir()) == []


async def test_replicas_share_a_port_by_addresses_of_their_own(world: NodeWorld) -> None:
    pods = [await world.run_pod(f"web-{n}") for n in range(2)]
    assert [await world.get(pod, "/") for pod in pods] == ["web-0", "web-1"]


async def test_volumes_and_files_of_the_image_are_found_under_its_own_root(world: NodeWorld) -> None:
    program = (
        "import os\nroot=os.environ['TOWPATH_ROOT']\nprint(os.getcwd() == root + '/app')\n"
        "print(open(root + '/work/made').read(), os.path.exists('main.py'))\nopen('scratch', 'w').close()"
    )
    mount = {"volumeMounts": [{"name": "work", "mountPath": "/work"}]}
    init = {"name": "prepare", "image": "registry.test/app:v1", **mount}
    init["command"] = [
        "python",
        "-S",
        "-c",
        "import os; open(os.environ['TOWPATH_ROOT']+'/work/made','w').write('by init')",
    ]
    pod = make_pod(
        "staged",
        container={**command(program), **mount},
        initContainers=[init],
        volumes=[{"name": "work", "emptyDir": {}}],
        restartPolicy="Never",
    )
    await world.create(pod)
    await world.wait_for("staged", phase_is("Succeeded", "Failed"))
    assert await world.log("staged") == "True\nby init True\n"
    assert not Path(os.getcwd(), "scratch").exists()  # noqa: PTH109


async def test_a_command_that_is_nowhere_is_a_start_error(world: NodeWorld) -> None:
    await world.create(make_pod("typo", container={"command": ["no-such-program"]}, restartPolicy="Never"))
    pod = await world.wait_for("typo", phase_is("Failed"))
    ended = container_status(pod)["state"]["terminated"]
    assert ended["reason"] == "StartError"
    assert 'exec: "no-such-program": executable file not found in $PATH' in ended["message"]


async def test_what_a_process_left_running_ends_with_it(world: NodeWorld) -> None:
    program = "import subprocess; print(subprocess.Popen(['sleep','600']).pid, flush=True)"
    await world.create(make_pod("parent", container=command(program), restartPolicy="Never"))
    await world.wait_for("parent", phase_is("Succeeded", "Failed"))
    left = int(await world.log("parent"))
    state = Path(f"/proc/{left}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


async def test_a_probe_by_command_runs_beside_the_process(world: NodeWorld) -> None:
    probe = {"exec": {"command": ["python", "-S", "-c", "import os; assert os.path.exists('main.py')"]}}
    await world.create(make_pod("probed", container={"readinessProbe": {**probe, "timeoutSeconds": 20}}))
    await world.wait_for("probed", is_ready)


async def test_a_process_over_its_memory_limit_is_oom_killed(world: NodeWorld) -> None:
    program = "import time\nhog=bytearray(100*1024*1024)\nhog[::4096]=b'x'*len(hog[::4096])\ntime.sleep(600)"
    limits = {"resources": {"limits": {"memory": "48Mi"}}}
    await world.create(make_pod("hog", container=command(program, **limits), restartPolicy="Never"))
    pod = await world.wait_for("hog", phase_is("Failed"))
    assert container_status(pod)["state"]["terminated"]["reason"] == "OOMKilled"


async def test_without_a_sandbox_pods_wait_with_the_reason_and_the_node_is_not_ready(tmp_path: Path) -> None:
    async with node_world(tmp_path, isolation="none") as world:
        await world.create(make_pod("web"))
        pod = await world.wait_for("web", lambda pod: waiting_reason(pod) == "CreateContainerError")
        waiting = container_status(pod)["state"]["waiting"]
        assert waiting["message"].startswith("pods cannot run here (NoSandbox): switched off by the settings")
        assert pod["status"]["phase"] == "Pending"
        assert world.events.messages("FailedCreatePodSandBox") == [waiting["message"]]
        assert world.registry.downloads == []
        node = await world.client.get(GVK("", "v1", "Node"), "node-1")
        ready = next(c for c in node["status"]["conditions"] if c["type"] == "Ready")
        assert (ready["status"], ready["reason"]) == ("False", "NoSandbox")
        await world.delete_pod("web")
