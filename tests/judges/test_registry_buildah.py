"""The registry as buildah and podman see it: layers compressed while they are sent, lists of images, mounts."""

import asyncio
import json
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from fakes.foreign import require
from fakes.recorded import RecordedRegistry, serve_recorded

pytestmark = pytest.mark.judge

ADMIN = "admin:admin-secret"
PLAIN = ("--tls-verify=false", "--creds", ADMIN)


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[RecordedRegistry]:
    async with serve_recorded(tmp_path / "registry") as running:
        yield running


@pytest.fixture
def storage() -> Iterator[list[str]]:
    # These programs take at most 50 characters for a run root, fewer than pytest's own directories have.
    with tempfile.TemporaryDirectory(prefix="buildah-", ignore_cleanup_errors=True) as root:
        yield ["--root", f"{root}/store", "--runroot", f"{root}/run", "--storage-driver", "vfs"]


async def run(program: str, storage: list[str], *arguments: str, expect: int = 0) -> str:
    child = await asyncio.create_subprocess_exec(
        require(program), *storage, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await child.communicate()
    assert (child.returncode == 0) is (expect == 0), output.decode()
    return output.decode().strip()


async def build(storage: list[str], content: Path, *platform: str) -> str:
    container = (await run("buildah", storage, "from", *platform, "scratch")).splitlines()[-1]
    await run("buildah", storage, "copy", "--quiet", container, str(content), "/data")
    return (await run("buildah", storage, "commit", "--quiet", container)).splitlines()[-1]


@pytest.fixture
def content(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.write_bytes(os.urandom(3_000_000))
    return path


async def test_buildah_streams_a_layer_that_it_compresses_on_the_way(
    registry: RecordedRegistry, storage: list[str], content: Path
) -> None:
    image = await build(storage, content)
    await run("buildah", storage, "push", *PLAIN, image, f"docker://{registry.host}/lab/app:canary")
    streamed = [one for one in registry.find("PATCH", "/uploads/") if one.headers.get("transfer-encoding") == "chunked"]
    assert streamed
    assert all("content-range" not in one.headers for one in streamed)
    await run("buildah", storage, "rmi", "--force", image)
    await run("buildah", storage, "pull", *PLAIN, f"docker://{registry.host}/lab/app:canary")


async def test_buildah_pushes_an_image_that_is_there_without_its_layers(
    registry: RecordedRegistry, storage: list[str], content: Path
) -> None:
    image = await build(storage, content)
    target = f"docker://{registry.host}/lab/app:canary"
    await run("buildah", storage, "push", *PLAIN, image, target)
    before = len(registry.find("PATCH", "/uploads/"))
    await run("buildah", storage, "push", *PLAIN, image, target)
    assert len(registry.find("PATCH", "/uploads/")) == before
    assert {one.status for one in registry.asked} <= {200, 201, 202, 401, 404}


async def test_buildah_mounts_a_layer_in_another_repository(
    registry: RecordedRegistry, storage: list[str], content: Path
) -> None:
    image = await build(storage, content)
    for name in ("one", "two"):
        await run("buildah", storage, "push", *PLAIN, image, f"docker://{registry.host}/lab/{name}:canary")
    mounted = registry.find("POST", "mount=")
    # The first ask may be challenged for a token that names the source too.
    assert 201 in {one.status for one in mounted}
    assert all("lab%2Fone" in one.query for one in mounted)


async def test_a_list_of_platforms_is_pushed_and_pulled(
    registry: RecordedRegistry, storage: list[str], content: Path
) -> None:
    await run("buildah", storage, "manifest", "create", "list")
    for architecture in ("amd64", "arm64"):
        image = await build(storage, content, "--arch", architecture)
        await run("buildah", storage, "manifest", "add", "--arch", architecture, "list", image)
    target = f"docker://{registry.host}/lab/multi:canary"
    await run("buildah", storage, "manifest", "push", "--all", *PLAIN, "list", target)
    raw = await run("skopeo", [], "inspect", "--raw", *PLAIN, target)
    platforms = {entry["platform"]["architecture"] for entry in json.loads(raw)["manifests"]}
    assert platforms == {"amd64", "arm64"}
    await run("podman", storage, "pull", *PLAIN, "--arch", "arm64", f"{registry.host}/lab/multi:canary")
    shown = await run("podman", storage, "image", "inspect", f"{registry.host}/lab/multi:canary")
    assert json.loads(shown)[0]["Architecture"] == "arm64"


async def test_skopeo_copies_all_platforms_by_digest(
    registry: RecordedRegistry, storage: list[str], content: Path
) -> None:
    await run("buildah", storage, "manifest", "create", "list")
    for architecture in ("amd64", "arm64"):
        image = await build(storage, content, "--arch", architecture)
        await run("buildah", storage, "manifest", "add", "--arch", architecture, "list", image)
    source = f"docker://{registry.host}/lab/multi"
    await run("buildah", storage, "manifest", "push", "--all", *PLAIN, "list", f"{source}:canary")
    raw = await run("skopeo", [], "inspect", "--raw", *PLAIN, f"{source}:canary")
    first = json.loads(raw)["manifests"][0]["digest"]
    flags = ("--src-tls-verify=false", "--src-creds", ADMIN, "--dest-tls-verify=false", "--dest-creds", ADMIN)
    await run("skopeo", [], "copy", *flags, f"{source}@{first}", f"docker://{registry.host}/lab/copy@{first}")
    await run("skopeo", [], "copy", "--all", *flags, f"{source}:canary", f"docker://{registry.host}/lab/copy:canary")
    assert await run("skopeo", [], "inspect", "--raw", *PLAIN, f"docker://{registry.host}/lab/copy:canary") == raw
    await run("skopeo", [], "delete", *PLAIN, f"docker://{registry.host}/lab/copy:canary")
    await run("skopeo", [], "inspect", "--raw", *PLAIN, f"docker://{registry.host}/lab/copy:canary", expect=1)
