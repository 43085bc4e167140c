"""Images of ours, run by others: podman from an OCI layout, and containerd through `ctr`.

Both run the whole image: the host's interpreter out of the base layer, as user 65532, with nothing of this machine's
file system. `skopeo` reads the layout first, as any registry client would.
"""

import json
import os
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.memory_registry import MemoryRegistry
from fakes.podman import limits, podman_command
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
SECONDS_TO_START = 10.0


@pytest.fixture
async def layout(tmp_path: Path) -> Path:
    service = tmp_path / "sensor"
    service.mkdir()
    (service / "main.py").write_text(PROGRAM)
    builder = Builder(cache=tmp_path / "cache", registry=MemoryRegistry(), clock=SystemClock())
    image = await builder.build(
        BuildRequest(
            service=Service("sensor", "services/sensor", env={"MODE": "judged"}),
            context=service,
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


def run(*argv: str | Path) -> str:
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_skopeo_reads_the_layout(layout: Path) -> None:
    config = json.loads(run("skopeo", "inspect", "--config", f"oci:{layout}:sensor:1"))

    assert config["config"]["Entrypoint"] == ["python3", "/app/main.py"]
    assert len(config["rootfs"]["diff_ids"]) == 2


def test_the_image_runs_under_podman(layout: Path) -> None:
    with podman_command() as podman:
        output = run(*podman, "run", "--rm", "--network", "none", *limits(), f"oci:{layout}:sensor:1")

    assert json.loads(output.splitlines()[-1]) == EXPECTED


@pytest.fixture
def containerd(tmp_path: Path) -> Iterator[Path]:
    """A containerd of our own; yields its socket."""
    if os.geteuid() != 0:
        pytest.skip("containerd needs root")
    home = tmp_path / "containerd"
    home.mkdir()
    socket = home / "s"
    (home / "config.toml").write_text(
        f'version = 2\nroot = "{home}/root"\nstate = "{home}/state"\n'
        'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        f'[grpc]\naddress = "{socket}"\n[ttrpc]\naddress = "{home}/t"\n'
    )
    with (home / "log").open("w") as log:
        daemon = subprocess.Popen(["containerd", "-c", home / "config.toml"], stdout=log, stderr=log)
    try:
        give_up = time.monotonic() + SECONDS_TO_START
        while subprocess.run(["ctr", "-a", socket, "version"], capture_output=True, check=False).returncode != 0:
            assert time.monotonic() < give_up, (home / "log").read_text()
        yield socket
    finally:
        daemon.terminate()
        daemon.wait()


def test_the_image_runs_under_containerd(layout: Path, tmp_path: Path, containerd: Path) -> None:
    archive = tmp_path / "layout.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(layout, arcname=".")
    ctr: list[str | Path] = ["ctr", "-a", containerd]
    run(*ctr, "images", "import", "--snapshotter", "native", "--base-name", "sensor", archive)
    [name] = run(*ctr, "images", "ls", "-q").split()

    assert json.loads(run(*ctr, "run", "--rm", "--snapshotter", "native", name, "judged")) == EXPECTED
