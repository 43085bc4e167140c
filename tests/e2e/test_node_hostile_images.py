"""Images, volumes and pods that try to reach the host's files: every path of theirs stays inside the container."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fakes.images import make_layer
from fakes.node_world import (
    NodeWorld,
    command,
    container_status,
    image_config,
    interpreter_layer,
    make_pod,
    node_world,
    phase_is,
)
from towpath.kube.objects import Object, find_path

HOSTILE = "registry.test/hostile:v1"
# Worlds share their images, and each test makes its own.
IMAGE = {"image": HOSTILE, "imagePullPolicy": "Always"}
# Where bubblewrap has the host's files while it prepares a sandbox.
OLD_ROOT = "/oldroot"


@dataclass
class Host:
    """A directory of the host that nothing may be made in."""

    world: NodeWorld
    path: Path

    @property
    def from_sandbox(self) -> str:
        return f"{OLD_ROOT}{self.path}"

    def assert_untouched(self) -> None:
        assert [path.name for path in self.path.iterdir()] == ["secret"]
        assert (self.path / "secret").read_text() == "secret"

    async def run(
        self,
        links: dict[str, bytes | str],
        program: str = "print('ran')",
        *,
        config: dict[str, Any] | None = None,
        container: dict[str, Any] | None = None,
        **spec: Any,
    ) -> Object:
        """Run a pod of an image with these links to its end."""
        layers = [interpreter_layer(), make_layer(links)]
        self.world.registry.add(HOSTILE, layers, image_config(working_dir="/", **(config or {})))
        changes = {**command(program), **IMAGE, **(container or {})}
        await self.world.create(make_pod("hostile", container=changes, restartPolicy="Never", **spec))
        return await self.world.wait_for("hostile", phase_is("Succeeded", "Failed"))

    async def log(self) -> str:
        return await self.world.log("hostile")


def refusal(pod: Object) -> str:
    ended = find_path(container_status(pod), "state", "terminated") or {}
    assert ended["reason"] == "StartError", ended
    return str(ended["message"])


@pytest.fixture(params=["podnetwork", "copies"])
async def host(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Host]:
    path = tmp_path / "host"
    path.mkdir()
    (path / "secret").write_text("secret")
    async with node_world(tmp_path, overlay=request.param != "copies") as world:
        yield Host(world, path)


MOUNT: dict[str, Any] = {"volumes": [{"name": "v", "emptyDir": {}}]}


def mounted(*places: str) -> dict[str, Any]:
    return {"volumeMounts": [{"name": "v", "mountPath": place} for place in places]}


@pytest.mark.parametrize("climbs", [True, False], ids=["relative", "absolute"])
async def test_a_link_on_the_way_to_a_mount_path(host: Host, climbs: bool) -> None:
    target = f"../../..{host.from_sandbox}" if climbs else host.from_sandbox
    point = f"' {host.from_sandbox}/sub/made ' in open('/proc/self/mountinfo').read()"
    program = f"import os; print({point}, os.listdir('/data'))"
    pod = await host.run({"data": target}, program, container=mounted("/data/sub/made"), **MOUNT)
    assert (pod["status"]["phase"], await host.log()) == ("Succeeded", "True ['sub']\n")
    host.assert_untouched()


async def test_a_link_in_place_of_the_working_directory(host: Host) -> None:
    program = "import os; print(os.getcwd(), os.listdir('.'))"
    await host.run({"work": host.from_sandbox}, program, container={"workingDir": "/work/made/here"})
    assert await host.log() == f"{host.from_sandbox}/made/here []\n"
    host.assert_untouched()


@pytest.mark.parametrize("name", ["hosts", "resolv.conf", "hostname", "host.conf"])
async def test_a_link_in_place_of_a_file_that_is_mounted(host: Host, name: str) -> None:
    program = f"print(open('/etc/{name}').read() != '')"
    await host.run({f"etc/{name}": f"{host.from_sandbox}/made-{name}"}, program)
    assert await host.log() == "True\n"
    host.assert_untouched()


async def test_links_in_place_of_etc_and_tmp(host: Host) -> None:
    program = "import os; open('/tmp/x', 'w').close(); print('hostile' in open('/etc/hosts').read())"
    links: dict[str, bytes | str] = {"etc": f"{host.from_sandbox}/etc", "tmp": host.from_sandbox + "/tmp"}  # noqa: S108
    await host.run(links, program)
    assert await host.log() == "True\n"
    host.assert_untouched()


@pytest.mark.parametrize("name", ["proc", "dev"])
async def test_a_link_in_place_of_proc_or_dev(host: Host, name: str) -> None:
    pod = await host.run({name: host.from_sandbox})
    assert "LinkedRoot" in refusal(pod)
    host.assert_untouched()


async def test_a_mount_path_by_way_of_proc(host: Host) -> None:
    place = f"/proc/self/root{host.from_sandbox}/made"
    pod = await host.run({}, container=mounted(place), **MOUNT)
    assert "MountPoint" in refusal(pod)
    host.assert_untouched()


async def test_an_image_whose_proc_link_is_the_working_directory(host: Host) -> None:
    pod = await host.run({}, config={}, container={"workingDir": f"/proc/self/root{host.from_sandbox}/made"})
    assert pod["status"]["phase"] == "Failed"
    host.assert_untouched()


@pytest.mark.parametrize("where", ["env", "directory"])
async def test_an_option_hidden_behind_a_nul_character(host: Host, where: str) -> None:
    hidden = f"x\0--bind\0{host.path}\0/mnt"
    config: dict[str, Any] = {"env": {"PATH": "/usr/bin", "X": hidden}}
    container = {} if where == "env" else {"workingDir": f"/{hidden}"}
    program = "open('/mnt/made', 'w').close()"
    layers = [interpreter_layer(), make_layer({"mnt/x": b""})]
    host.world.registry.add(HOSTILE, layers, image_config(**(config if where == "env" else {})))
    await host.world.create(make_pod("hostile", container={**command(program), **IMAGE, **container}))
    pod = await host.world.wait_for(
        "hostile", lambda pod: bool(find_path(container_status(pod), "state", "waiting", "message"))
    )
    waiting = container_status(pod)["state"]["waiting"]
    assert waiting["reason"] == "CreateContainerConfigError"
    assert "NulCharacter" in waiting["message"]
    host.assert_untouched()


def planted(target: str) -> dict[str, Any]:
    """An init container that leaves a link in the volume."""
    program = f"import os; os.symlink('{target}', '/data/inner')"
    return {"initContainers": [{"name": "plant", **command(program), **IMAGE, **mounted("/data")}]}


@pytest.mark.parametrize("place", ["/data/inner", "/data/inner/made", "/data/inner/made/deep"])
async def test_a_link_left_in_a_volume_under_a_nested_mount(host: Host, place: str) -> None:
    volumes = [*MOUNT["volumes"], {"name": "w", "emptyDir": {}}]
    mounts = {"volumeMounts": [{"name": "v", "mountPath": "/data"}, {"name": "w", "mountPath": place}]}
    pod = await host.run({}, container=mounts, volumes=volumes, **planted(host.from_sandbox))
    assert "LinkInVolume" in refusal(pod)
    host.assert_untouched()


async def test_a_link_left_in_a_volume_under_the_working_directory(host: Host) -> None:
    changes = {**mounted("/data"), "workingDir": "/data/inner/made"}
    pod = await host.run({}, container=changes, **MOUNT, **planted(host.from_sandbox))
    assert pod["status"]["phase"] == "Failed"
    host.assert_untouched()


async def test_a_link_left_in_a_volume_under_the_termination_message(host: Host) -> None:
    changes = {**mounted("/data"), "terminationMessagePath": "/data/inner/made"}
    pod = await host.run({}, container=changes, **MOUNT, **planted(host.from_sandbox))
    assert "LinkInVolume" in refusal(pod)
    host.assert_untouched()


@pytest.mark.parametrize("outside", [True, False], ids=["the-host", "by-its-own-name"])
async def test_a_link_left_in_a_volume_in_place_of_a_sub_path(host: Host, outside: bool) -> None:
    target = str(host.path) if outside else host.from_sandbox
    mounts = {"volumeMounts": [{"name": "v", "mountPath": "/mnt", "subPath": "inner"}]}
    layers = [interpreter_layer(), make_layer({})]
    host.world.registry.add(HOSTILE, layers, image_config())
    program = "print(open('/mnt/secret').read())"
    changes = {**command(program), **IMAGE, **mounts}
    await host.world.create(make_pod("hostile", container=changes, **MOUNT, **planted(target)))
    pod = await host.world.wait_for("hostile", lambda pod: "LinkEscape" in str(container_status(pod).get("state")))
    assert container_status(pod)["state"]["waiting"]["reason"] == "CreateContainerConfigError"
    host.assert_untouched()


async def test_mounts_inside_mounts_work_with_their_own_rights(host: Host) -> None:
    program = (
        "import os\n"
        "open('/data/a','w').close(); open('/data/in/deep/b','w').close(); open('/var/run/c','w').close()\n"
        "try: open('/data/ro/d','w')\nexcept OSError as e: print(e.errno)\n"
        "print(sorted(os.listdir('/data')), sorted(os.listdir('/data/in')), os.listdir('/run'), os.getcwd())\n"
        "print(open('/etc/hosts').read().startswith('# Kubernetes'))"
    )
    mounts = [
        {"name": "w", "mountPath": "/data/in/deep"},
        {"name": "v", "mountPath": "/data", "subPath": "part"},
        {"name": "r", "mountPath": "/data/ro", "readOnly": True},
        {"name": "x", "mountPath": "/var/run"},
        {"name": "e", "mountPath": "/etc"},
    ]
    volumes = [{"name": name, "emptyDir": {}} for name in "vwrxe"]
    changes = {"volumeMounts": mounts, "workingDir": "/data/in/work"}
    pod = await host.run({"var/run": "/run"}, program, container=changes, volumes=volumes)
    said = await host.log()
    assert said == "30\n['a', 'in', 'ro'] ['deep', 'work'] ['c'] /data/in/work\nTrue\n"
    assert pod["status"]["phase"] == "Succeeded"
    host.assert_untouched()


async def test_a_program_can_make_no_user_namespace_to_be_root_in(host: Host) -> None:
    program = "import ctypes; print(ctypes.CDLL(None).unshare(0x10000000))"
    await host.run({}, program)
    assert await host.log() == "-1\n"
