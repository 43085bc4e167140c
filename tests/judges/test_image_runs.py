"""Images of ours, run by others: podman from an OCI layout, and containerd through `ctr`.

Both run the whole image: the host's interpreter out of the base layer, as user 65532, with nothing of this machine's
file system. `skopeo` reads the layout first, as any registry client would.
"""

import asyncio
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.containerd import run_containerd
from fakes.foreign import not_run, require
from fakes.memory_registry import MemoryRegistry
from fakes.podman import limits, podman_command
from fakes.wheels import write_lock, write_wheel
from towpath.aio.clock import SystemClock
from towpath.blueprint.model import Service
from towpath.build.builder import Builder
from towpath.build.host_base import host_platform
from towpath.build.image import BuildRequest
from towpath.build.layout import write_layout

pytestmark = pytest.mark.judge

PROGRAM = """
import asyncio, ctypes, decimal, hashlib, http.server, json, os, pwd, sqlite3, ssl, sys
print(json.dumps({
    "user": pwd.getpwuid(os.getuid()).pw_name,
    "directory": os.getcwd(),
    "prefix": sys.prefix,
    "mode": os.environ["MODE"],
    "foreign": [m for m in sys.modules.values() if not (getattr(m, "__file__", None) or "/usr/local/lib").startswith(
        ("/usr/local/lib", "/app"))] != [],
}))
"""
EXPECTED = {"user": "nonroot", "directory": "/app", "prefix": "/usr/local", "mode": "judged", "foreign": False}


async def build(tmp_path: Path, service: Service, files: dict[str, bytes]) -> Path:
    """An image of a service, as a layout."""
    context = tmp_path / service.name
    for name, content in files.items():
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        (context / name).write_bytes(content)
        (context / name).chmod(0o755)
    builder = Builder(cache=tmp_path / "cache", registry=MemoryRegistry(), clock=SystemClock())
    image = await builder.build(
        BuildRequest(
            service=service,
            context=context,
            commit="0123456789abcdef0123456789abcdef01234567",
            tree_id="",
            source_url="",
            committed_at=1_700_000_000.0,
            tag="sha-0123456",
            platform=host_platform(),
        )
    )
    write_layout({"sensor:1": image}, tmp_path / "layout")
    return tmp_path / "layout"


@pytest.fixture
async def layout(tmp_path: Path) -> Path:
    service = Service("sensor", "services/sensor", env={"MODE": "judged"})
    return await build(tmp_path, service, {"main.py": PROGRAM.encode()})


def run(*argv: str | Path) -> str:
    command = [require(str(argv[0])), *map(str, argv[1:])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_skopeo_reads_the_layout(layout: Path) -> None:
    config = json.loads(run("skopeo", "inspect", "--config", f"oci:{layout}:sensor:1"))

    assert config["config"]["Entrypoint"] == ["python3", "/app/main.py"]
    assert len(config["rootfs"]["diff_ids"]) == 2


def test_the_image_runs_under_podman(layout: Path) -> None:
    output = run_under_podman(layout)

    assert json.loads(output.splitlines()[-1]) == EXPECTED


def run_under_podman(layout: Path) -> str:
    with podman_command() as podman:
        return run(*podman, "run", "--rm", "--network", "none", *limits(), f"oci:{layout}:sensor:1")


async def test_packages_are_imported_and_their_scripts_are_found(tmp_path: Path) -> None:
    service = tmp_path / "sensor"
    program = "import greet, os, shutil\nprint(greet.__file__, greet.__cached__, shutil.which('greet'))\n"
    digest = write_wheel(service / "wheels", "greet", scripts={"greet": "greet:main"})
    write_lock(service, {"greet==1.0": [digest]})
    layout = await build(tmp_path, Service("sensor", "services/sensor"), {"main.py": program.encode()})

    module, compiled, script = run_under_podman(layout).split()
    assert module == "/opt/dependencies/greet.py"
    assert compiled.startswith("/opt/dependencies/__pycache__/greet.")
    assert script == "/opt/dependencies/bin/greet"


async def test_a_script_of_a_package_can_be_the_entrypoint(tmp_path: Path) -> None:
    service = tmp_path / "sensor"
    files = {"greet.py": "import sys\nfrom own import WORD\ndef main():\n    print(WORD, sys.argv[1:])\n"}
    write_lock(
        service,
        {"greet==1.0": [write_wheel(service / "wheels", "greet", files=files, scripts={"greet": "greet:main"})]},
    )
    started = Service("sensor", "services/sensor", entrypoint=("greet", "--loud"))
    layout = await build(tmp_path, started, {"own.py": b"WORD = 'hello'\n"})

    assert run_under_podman(layout) == "hello ['--loud']\n"


async def test_a_dynamic_program_runs_on_a_base_with_its_libraries(tmp_path: Path) -> None:
    echo = Path(shutil.which("echo") or "/bin/echo").read_bytes()
    service = Service("sensor", "services/sensor", binary="bin/echo", entrypoint=("/app/bin/echo", "judged"))
    layout = await build(tmp_path, service, {"bin/echo": echo})

    assert run_under_podman(layout) == "judged\n"


async def test_a_static_program_runs_on_nothing(tmp_path: Path) -> None:
    source = tmp_path / "main.go"
    source.write_text('package main\n\nimport "os"\n\nfunc main() { os.Stdout.WriteString("judged\\n") }\n')
    if shutil.which("go") is None:
        not_run("Go is not installed, to make a static program")
    env = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-trimpath"}
    await asyncio.to_thread(
        subprocess.run, ["go", "build", "-o", str(tmp_path / "tool"), str(source)], env=env, check=True
    )
    service = Service("sensor", "services/sensor", base="scratch", binary="tool")
    layout = await build(tmp_path, service, {"tool": (tmp_path / "tool").read_bytes()})

    assert run_under_podman(layout) == "judged\n"


async def test_a_static_site_is_served(tmp_path: Path) -> None:
    """The server's own files, asked for by a client in the same container."""
    client = (
        "import subprocess, sys, urllib.request\n"
        "server = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)\n"
        "server.stdout.readline()\n"
        "print(urllib.request.urlopen('http://127.0.0.1:8080/').read().decode())\n"
        "server.terminate()\n"
    )
    service = Service("sensor", "services/sensor", static="public")
    layout = await build(tmp_path, service, {"public/index.html": b"judged", "client.py": b""})
    config = json.loads(run("skopeo", "inspect", "--config", f"oci:{layout}:sensor:1"))
    with podman_command() as podman:
        image = f"oci:{layout}:sensor:1"
        ask = ["--entrypoint", "python3", image, "-c", client, *config["config"]["Entrypoint"]]
        output = run(*podman, "run", "--rm", "--network", "none", *limits(), *ask)

    assert output == "judged\n"


@pytest.fixture
def containerd(tmp_path: Path) -> Iterator[Path]:
    """A containerd of our own; yields its socket."""
    with run_containerd(tmp_path / "containerd") as socket:
        yield socket


def test_the_image_runs_under_containerd(layout: Path, tmp_path: Path, containerd: Path) -> None:
    archive = tmp_path / "layout.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(layout, arcname=".")
    ctr: list[str | Path] = ["ctr", "-a", containerd]
    run(*ctr, "images", "import", "--snapshotter", "native", "--base-name", "sensor", archive)
    [name] = run(*ctr, "images", "ls", "-q").split()

    assert json.loads(run(*ctr, "run", "--rm", "--snapshotter", "native", name, "judged")) == EXPECTED
