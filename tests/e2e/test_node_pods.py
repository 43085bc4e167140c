"""Pods as real processes in real sandboxes: start, readiness, logs, restarts, limits, stop."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

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
from towpath.kube.objects import GVK, Object, find_path


@pytest.fixture(params=["", "sandbox+hostnetwork"], ids=["podnetwork", "hostnetwork"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[NodeWorld]:
    async with node_world(tmp_path, isolation=request.param) as made:
        yield made


@pytest.fixture
async def plain(tmp_path: Path) -> AsyncIterator[NodeWorld]:
    async with node_world(tmp_path) as made:
        yield made


def terminated(pod: Object) -> Object:
    found = find_path(container_status(pod), "state", "terminated")
    assert isinstance(found, dict)
    return found


async def test_a_pod_becomes_ready_and_its_log_can_be_read(world: NodeWorld) -> None:
    pod = await world.run_pod("web")
    status = pod["status"]
    assert status["phase"] == "Running"
    assert status["podIP"] == status["podIPs"][0]["ip"]
    assert container_status(pod)["imageID"].startswith("registry.test/app@sha256:")
    assert await world.log("web") == f"serving on {status['podIP']}\n"
    reasons = [reason for reason, _ in world.events.said]
    assert reasons[-2:] == ["Created", "Started"]


async def test_the_node_says_how_it_keeps_pods_apart(world: NodeWorld) -> None:
    node = await world.client.get(GVK("", "v1", "Node"), "node-1")
    assert node["metadata"]["annotations"]["towpath.dev/isolation"] == world.agent.isolation.partition(",")[0]
    ready = next(c for c in node["status"]["conditions"] if c["type"] == "Ready")
    assert ready["status"] == "True"


async def test_a_deleted_pod_ends_gracefully_and_its_object_goes(world: NodeWorld) -> None:
    program = (
        "import os,signal,sys,time\n"
        # Not print: the signal may come while the other one is still at work.
        "def end(*_):\n    os.write(1, b'bye\\n'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end); print('up', flush=True)\n"
        "while True: time.sleep(60)"
    )
    await world.create(make_pod("job", container=command(program)))
    await world.wait_for("job", is_ready)
    await wait_for_log(world, "job", "up\n")
    last = await world.delete_pod("job")
    assert terminated(last)["exitCode"] == 0
    assert terminated(last)["reason"] == "Completed"
    assert "Stopping container app" in world.events.messages("Killing")


async def test_a_pod_that_ignores_sigterm_is_killed_after_the_grace_period(plain: NodeWorld) -> None:
    program = (
        "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up',flush=True); time.sleep(600)"
    )
    await plain.create(make_pod("stubborn", container=command(program)))
    await plain.wait_for("stubborn", is_ready)
    await wait_for_log(plain, "stubborn", "up\n")
    began = asyncio.get_running_loop().time()
    last = await plain.delete_pod("stubborn", grace=1)
    assert 0.9 < asyncio.get_running_loop().time() - began < 10
    assert terminated(last)["exitCode"] == 137


async def test_a_crashing_container_restarts_at_once_and_then_backs_off(plain: NodeWorld) -> None:
    await plain.create(make_pod("crash", container=command("import sys; print('boom'); sys.exit(3)")))
    pod = await plain.wait_for("crash", lambda pod: waiting_reason(pod) == "CrashLoopBackOff")
    status = container_status(pod)
    assert status["restartCount"] == 1
    assert status["lastState"]["terminated"]["exitCode"] == 3
    uid = pod["metadata"]["uid"]
    assert (
        status["state"]["waiting"]["message"]
        == f"back-off 10s restarting failed container=app pod=crash_default({uid})"
    )
    assert await plain.log("crash", previous=True) == "boom\n"


async def test_a_command_that_does_not_exist_is_a_start_error(plain: NodeWorld) -> None:
    await plain.create(make_pod("typo", container={"command": ["serv"]}, restartPolicy="Never"))
    pod = await plain.wait_for("typo", phase_is("Failed"))
    assert terminated(pod)["reason"] == "StartError"
    assert terminated(pod)["exitCode"] == 128
    assert 'exec: "serv": executable file not found in $PATH' in terminated(pod)["message"]


@pytest.mark.parametrize(("code", "phase"), [(0, "Succeeded"), (7, "Failed")])
async def test_a_pod_that_never_restarts_ends_by_its_exit_code(plain: NodeWorld, code: int, phase: str) -> None:
    program = f"import sys; sys.exit({code})"
    await plain.create(make_pod("once", container=command(program), restartPolicy="Never"))
    pod = await plain.wait_for("once", phase_is("Succeeded", "Failed"))
    assert pod["status"]["phase"] == phase
    assert terminated(pod)["exitCode"] == code


async def test_a_container_over_its_memory_limit_is_oom_killed(plain: NodeWorld) -> None:
    program = "import time\nhog=bytearray(100*1024*1024)\nhog[::4096]=b'x'*len(hog[::4096])\ntime.sleep(600)"
    limits = {"resources": {"limits": {"memory": "48Mi"}}}
    await plain.create(make_pod("hog", container=command(program, **limits), restartPolicy="Never"))
    pod = await plain.wait_for("hog", phase_is("Failed"))
    assert (terminated(pod)["reason"], terminated(pod)["exitCode"]) == ("OOMKilled", 137)


async def test_a_failed_liveness_probe_restarts_the_container(plain: NodeWorld) -> None:
    probe = {"exec": {"command": ["python", "-S", "-c", "raise SystemExit('sick')"]}, "periodSeconds": 1}
    liveness = {"livenessProbe": {**probe, "failureThreshold": 1, "timeoutSeconds": 20}}
    await plain.create(make_pod("sick", container=liveness))
    pod = await plain.wait_for("sick", lambda pod: container_status(pod).get("restartCount", 0) >= 1)
    assert "Container app failed liveness probe, will be restarted" in plain.events.messages("Killing")
    assert any("sick" in message for message in plain.events.messages("Unhealthy"))
    assert pod["status"]["phase"] == "Running"


async def test_init_containers_run_first_and_share_volumes(plain: NodeWorld) -> None:
    mount = {"volumeMounts": [{"name": "work", "mountPath": "/work"}]}
    init = {"name": "prepare", "image": "registry.test/app:v1", **mount}
    init["command"] = ["python", "-S", "-c", "open('/work/made','w').write('by init')"]
    await plain.create(
        make_pod("staged", container=mount, initContainers=[init], volumes=[{"name": "work", "emptyDir": {}}])
    )
    pod = await plain.wait_for("staged", is_ready)
    assert await plain.get(pod, "/file/work/made") == "by init"
    assert pod["status"]["initContainerStatuses"][0]["state"]["terminated"]["reason"] == "Completed"


async def test_a_failing_init_container_keeps_the_others_from_starting(plain: NodeWorld) -> None:
    init = {
        "name": "prepare",
        "image": "registry.test/app:v1",
        "command": ["python", "-S", "-c", "raise SystemExit(1)"],
    }
    await plain.create(make_pod("stuck", initContainers=[init], restartPolicy="Never"))
    pod = await plain.wait_for("stuck", phase_is("Failed"))
    assert container_status(pod)["state"] == {"waiting": {"reason": "PodInitializing"}}


async def test_a_pod_runs_as_the_user_it_asks_for_without_capabilities(plain: NodeWorld) -> None:
    program = (
        "import os\nprint(os.getuid(), os.getgid(), os.getpid() < 10, os.uname().nodename)\n"
        "print([l.split()[1] for l in open('/proc/self/status') if l.startswith(('CapEff','CapBnd'))])\n"
        "print(sorted(int(n) for n in os.listdir('/proc/self/fd'))[:3], len(os.listdir('/proc/self/fd')))"
    )
    security = {"securityContext": {"runAsUser": 4321, "runAsGroup": 99}}
    await plain.create(make_pod("who", container=command(program, **security), restartPolicy="Never"))
    await plain.wait_for("who", phase_is("Succeeded"))
    who, capabilities, descriptors = (await plain.log("who")).splitlines()
    assert who == "4321 99 True who"
    assert set(capabilities) <= set("['0', ]")
    assert descriptors == "[0, 1, 2] 4"  # and the one that lists them


async def test_root_is_refused_where_the_pod_demands_another_user(plain: NodeWorld) -> None:
    security = {"securityContext": {"runAsUser": 0, "runAsNonRoot": True}}
    await plain.create(make_pod("root", container=security))
    pod = await plain.wait_for("root", lambda pod: waiting_reason(pod) == "CreateContainerConfigError")
    message = container_status(pod)["state"]["waiting"]["message"]
    who = f'(pod: "root_default({pod["metadata"]["uid"]})", container: app)'
    assert message == f"container's runAsUser breaks non-root policy {who}"


async def test_what_a_container_writes_stays_its_own(plain: NodeWorld) -> None:
    program = "import os; print(os.path.exists('/app/mark')); open('/app/mark','w').close()"
    for name in ("first", "second"):
        await plain.create(make_pod(name, container=command(program), restartPolicy="Never"))
        await plain.wait_for(name, phase_is("Succeeded"))
        assert await plain.log(name) == "False\n"


async def test_a_read_only_root_cannot_be_written(plain: NodeWorld) -> None:
    security = {"securityContext": {"readOnlyRootFilesystem": True}}
    await plain.create(make_pod("ro", container=command("open('/app/mark','w')", **security), restartPolicy="Never"))
    await plain.wait_for("ro", phase_is("Failed"))
    assert "Read-only file system" in await plain.log("ro")


async def test_the_termination_message_is_reported(plain: NodeWorld) -> None:
    program = "open('/dev/termination-log','w').write('disk is full'); raise SystemExit(9)"
    await plain.create(make_pod("says", container=command(program), restartPolicy="Never"))
    pod = await plain.wait_for("says", phase_is("Failed"))
    assert terminated(pod)["message"] == "disk is full"


async def test_a_log_is_followed_until_the_run_ends(plain: NodeWorld) -> None:
    program = "import time\nfor n in range(3): print(n, flush=True); time.sleep(0.05)\nprint('end', end='')"
    await plain.create(make_pod("talk", container=command(program), restartPolicy="Never"))
    await plain.wait_for("talk", phase_is("Running", "Succeeded"))
    async with asyncio.timeout(120):
        assert await plain.log("talk", follow=True) == "0\n1\n2\nend"


async def test_nothing_of_a_deleted_pod_stays(plain: NodeWorld) -> None:
    memory = {"name": "fast", "emptyDir": {"medium": "Memory"}}
    mount = {"volumeMounts": [{"name": "fast", "mountPath": "/fast"}]}
    pod = await plain.run_pod("brief", container=mount, volumes=[memory])
    init = int((await processes_of(pod)) or 0)
    await plain.delete_pod("brief")
    data = plain.directory / "node"
    assert list((data / "pods").iterdir()) == []
    assert list((data / "logs").iterdir()) == []
    assert not init or not Path(f"/proc/{init}").exists()


async def wait_for_log(world: NodeWorld, name: str, text: str) -> None:
    collected = b""
    async with asyncio.timeout(120):
        async for piece in world.agent.logs("default", name, follow=True):
            collected += piece
            if text.encode() in collected:
                return


async def processes_of(pod: Object) -> Any:
    """A host pid of the pod's sandbox, found by its host name."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "environ").read_bytes().find(f"HOSTNAME={pod['metadata']['name']}".encode()) >= 0:
                return os.path.basename(entry)  # noqa: PTH119
        except OSError:
            continue
    return None
