"""The registry as crane sees it: blobs side by side, copies by digest, indexes, lists in pages, deletion."""

import asyncio
import io
import json
import os
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from fakes.foreign import require_built
from fakes.recorded import RecordedRegistry, serve_recorded

pytestmark = pytest.mark.judge

Crane = Callable[..., Awaitable[str]]


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[RecordedRegistry]:
    async with serve_recorded(tmp_path / "registry") as running:
        yield running


@pytest.fixture
async def crane(registry: RecordedRegistry, tmp_path: Path) -> Crane:
    program = await asyncio.to_thread(require_built, "crane") / "crane"
    environment = {**os.environ, "DOCKER_CONFIG": str(tmp_path / "docker")}

    async def run(*arguments: str, expect: int = 0) -> str:
        child = await asyncio.create_subprocess_exec(
            program,
            *arguments,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await child.communicate()
        assert child.returncode == expect, errors.decode()
        return output.decode().strip()

    await run("auth", "login", registry.host, "--username", "admin", "--password", "admin-secret")
    return run


@pytest.fixture
def layers(tmp_path: Path) -> list[str]:
    paths = []
    for number in range(3):
        path = tmp_path / f"layer-{number}.tar"
        with tarfile.open(path, "w") as archive:
            member = tarfile.TarInfo(f"data-{number}")
            member.size = 400_000
            archive.addfile(member, io.BytesIO(os.urandom(member.size)))
        paths.append(str(path))
    return paths


async def push(crane: Crane, layers: list[str], target: str) -> str:
    """An image of these layers; returns its reference by digest."""
    files = [part for path in layers for part in ("--new_layer", path)]
    return await crane("append", "--oci-empty-base", *files, "--new_tag", target)


async def test_an_image_is_pushed_and_every_byte_is_right(
    crane: Crane, registry: RecordedRegistry, layers: list[str]
) -> None:
    target = f"{registry.host}/lab/app:v1"
    pushed = await push(crane, layers, target)
    assert pushed.endswith(await crane("digest", target))
    assert "PASS" in await crane("validate", "--remote", target)


async def test_a_copy_by_digest_mounts_and_sends_nothing(
    crane: Crane, registry: RecordedRegistry, layers: list[str]
) -> None:
    pushed = await push(crane, layers, f"{registry.host}/lab/app:v1")
    before = len(registry.find("PATCH", "/uploads/"))
    await crane("copy", pushed, f"{registry.host}/lab/copy:v1")
    assert await crane("digest", f"{registry.host}/lab/copy:v1") in pushed
    assert len(registry.find("PATCH", "/uploads/")) == before
    assert {one.status for one in registry.find("POST", "mount=")} == {201}


async def test_an_index_is_made_of_images_that_are_there(
    crane: Crane, registry: RecordedRegistry, layers: list[str]
) -> None:
    pushed = await push(crane, layers, f"{registry.host}/lab/app:v1")
    target = f"{registry.host}/lab/index:v1"
    await crane("index", "append", "--manifest", pushed, "--tag", target)
    (entry,) = json.loads(await crane("manifest", target))["manifests"]
    assert pushed.endswith(entry["digest"])
    assert "PASS" in await crane("validate", "--remote", target)


async def test_lists_are_complete_and_in_order(crane: Crane, registry: RecordedRegistry, layers: list[str]) -> None:
    await push(crane, layers[:1], f"{registry.host}/lab/app:b")
    for tag in ("a", "10", "9", "B"):
        await crane("tag", f"{registry.host}/lab/app:b", tag)
    assert (await crane("ls", f"{registry.host}/lab/app")).split() == ["10", "9", "B", "a", "b"]
    assert await crane("catalog", registry.host) == "lab/app"


async def test_what_is_deleted_is_gone(crane: Crane, registry: RecordedRegistry, layers: list[str]) -> None:
    pushed = await push(crane, layers[:1], f"{registry.host}/lab/app:v1")
    await crane("delete", pushed)
    await crane("digest", f"{registry.host}/lab/app:v1", expect=1)
    assert await crane("ls", f"{registry.host}/lab/app") == ""
