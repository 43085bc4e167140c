"""Pods on a machine where file systems cannot be stacked: each container runs on a copy of its image."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.node_world import NodeWorld, command, container_status, make_pod, node_world, phase_is, waiting_reason
from towpath.kube.objects import Object


@pytest.fixture(params=["", "sandbox+hostnetwork"], ids=["podnetwork", "hostnetwork"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[NodeWorld]:
    async with node_world(tmp_path, isolation=request.param, overlay=False) as made:
        yield made


def has_restarted(pod: Object) -> bool:
    return int(container_status(pod).get("restartCount", 0)) >= 1


async def test_a_pod_serves_and_leaves_nothing(world: NodeWorld) -> None:
    assert world.agent.isolation.startswith("sandbox+")
    assert "no overlay: switched off by the settings" in world.agent.isolation
    pod = await world.run_pod("web")
    assert await world.get(pod, "/") == "web"
    await world.delete_pod("web")
    assert list((world.directory / "node" / "pods").iterdir()) == []


async def test_every_start_begins_with_the_image_as_it_is(world: NodeWorld) -> None:
    program = (
        "import os, sys\nprint(os.path.exists('/app/mark'), open('/app/main.py').read() == '')\n"
        "open('/app/mark', 'w').close(); open('/app/main.py', 'w').close(); sys.exit(1)"
    )
    await world.create(make_pod("writer", container=command(program)))
    await world.wait_for("writer", lambda pod: waiting_reason(pod) == "CrashLoopBackOff" and has_restarted(pod))
    assert await world.log("writer", previous=True) == "False False\n"
    assert await world.log("writer") == "False False\n"


async def test_a_read_only_root_cannot_be_written(world: NodeWorld) -> None:
    program = (
        "import os\nfor what in (lambda: open('/app/mark','w'), lambda: open('/app/main.py','a'),\n"
        "             lambda: os.chmod('/app/main.py', 0o777), lambda: os.unlink('/app/main.py')):\n"
        "    try: what(); print('written')\n    except OSError as error: print(error.errno)\n"
        "print(os.stat('/app/main.py').st_nlink > 1)"
    )
    changes = command(program, securityContext={"readOnlyRootFilesystem": True})
    await world.create(make_pod("ro", container=changes, restartPolicy="Never"))
    await world.wait_for("ro", phase_is("Succeeded", "Failed"))
    assert await world.log("ro") == "30\n30\n30\n30\nTrue\n"
