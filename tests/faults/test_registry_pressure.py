"""A registry under pressure: uploads that nobody ends, clients that crawl, races, and a disk without space."""

import asyncio
import contextlib
import gc
import os
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from fakes.clock import VirtualClock
from fakes.registry import push_image, serve_registry
from fakes.registry_api import Api, open_api
from towpath.oci.digest import Digest
from towpath.oci.manifest import Manifest, format_manifest
from towpath.registry.keeper.evidence import NoEvidence
from towpath.registry.keeper.policy import Policy
from towpath.registry.service import UPLOAD_SECONDS
from towpath.registry.storage.reserve import RESERVE_BYTES

pytestmark = pytest.mark.faults

INSIDE = "TOWPATH_TEST_SMALL_REGISTRY"
UPLOADS = 1000
# A hash, a path and a dictionary's entry are about two kilobytes.
BYTES_AN_UPLOAD = 4096


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with open_api(tmp_path / "registry", VirtualClock()) as opened:
        yield opened


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_thousand_abandoned_uploads_hold_bytes_alone_and_are_purged(tmp_path: Path) -> None:
    clock = VirtualClock(start=4_102_444_800.0)  # beyond the files' own times, so that all of them are old
    async with open_api(tmp_path / "registry", clock) as api:
        await api.push_blob(b"warm")
        gc.collect()
        tracemalloc.start()
        before, descriptors = tracemalloc.get_traced_memory()[0], open_descriptors()
        for _ in range(UPLOADS):
            location = (await api.ask("POST", "/v2/lab/app/blobs/uploads/")).headers["location"]
            assert (await api.ask("PATCH", location, b"x" * 1000)).status_code == 202
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()

        assert grown < UPLOADS * BYTES_AN_UPLOAD
        assert open_descriptors() <= descriptors + 5
        assert len([name for name in api.files() if name.startswith("uploads/")]) == UPLOADS
        assert await api.registry.purge_uploads() == UPLOADS
        assert [name for name in api.files() if name.startswith("uploads/")] == []
        assert (await api.ask("PATCH", location, b"more")).status_code == 404
        assert UPLOAD_SECONDS <= 3600


async def test_two_hundred_clients_that_crawl_do_not_keep_others_waiting(tmp_path: Path) -> None:
    async with serve_registry(tmp_path / "registry") as server:
        client = server.client()
        head = (
            f"POST /v2/lab/app/blobs/uploads/?digest={Digest.of(b'x' * 1000)} HTTP/1.1\r\nHost: {server.host}\r\n"
            "Authorization: Basic YWRtaW46YWRtaW4tc2VjcmV0\r\nContent-Length: 1000\r\n\r\n"
        )
        crawling = []
        for _ in range(200):
            _, writer = await asyncio.open_connection("127.0.0.1", server.listener.port)
            writer.write(head.encode() + b"x" * 10)
            await writer.drain()
            crawling.append(writer)
        try:
            async with asyncio.timeout(60):
                pushed = await push_image(client, server.reference("lab/app:v1"), layers=(b"layer" * 100_000,))
                assert (await client.resolve(server.reference("lab/app:v1"))).digest == pushed.digest
                await server.registry.collector.collect(NoEvidence(), Policy())
        finally:
            for writer in crawling:
                writer.close()
            await client.close()


async def test_racing_uploads_of_the_same_content_into_several_repositories_all_succeed(api: Api) -> None:
    content = b"the same" * 50_000
    path = f"/blobs/uploads/?digest={Digest.of(content)}"
    repositories = [f"lab/app{number % 3}" for number in range(12)]
    answers = await asyncio.gather(*(api.ask("POST", f"/v2/{name}{path}", content) for name in repositories))

    assert [answer.status_code for answer in answers] == [201] * len(repositories)
    assert len(api.files()) == 1
    for name in set(repositories):
        assert (await api.ask("GET", f"/v2/{name}/blobs/{Digest.of(content)}")).content == content


async def test_racing_pushes_and_collections_of_the_same_digest_end_whole(api: Api) -> None:
    raw = format_manifest(await api.prepare_manifest(b"layer"))
    for number in range(30):
        await api.clock.advance(86_400)
        # Nothing names it: each round it is garbage, and pushed again while that is collected.
        collecting = asyncio.create_task(api.registry.collector.collect(NoEvidence(), Policy(settling_seconds=0.0)))
        await asyncio.sleep(0)
        manifest = await api.prepare_manifest(b"layer")
        answer = await api.put(manifest, str(Digest.of(raw)))
        assert answer.status_code == 201, (number, answer.text)
        await collecting
        assert (await api.ask("GET", f"/v2/lab/app/manifests/{Digest.of(raw)}")).status_code == 200
        assert (await api.ask("GET", f"/v2/lab/app/blobs/{Digest.of(b'layer')}")).content == b"layer"
    assert isinstance(manifest, Manifest)


# --- a disk that fills


@pytest.mark.skipif(INSIDE in os.environ, reason="this is the inside")
def test_a_disk_that_fills_is_answered_by_507_and_loses_nothing(tmp_path: Path) -> None:
    as_user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    argv = ["unshare", *as_user, "--mount", sys.executable, "-m", "pytest", "-q", "--basetemp", str(tmp_path / "inner")]
    argv += [f"{__file__}::test_inside_a_disk_that_fills", "-p", "no:cacheprovider"]
    done = subprocess.run(
        argv,
        cwd=Path(__file__).parents[2],
        env={**os.environ, INSIDE: "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if INSIDE not in os.environ:
        pytest.skip("runs on a small disk only")
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(path)], check=True)
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


async def fill(api: Api, told: dict[str, bytes]) -> int:
    """Push until there is no space; what was acknowledged is noted. How often there was none."""
    refusals = 0
    for number in range(400):
        content = b"%d " % number * (60_000 if refusals < 10 else 20)
        path = f"/v2/lab/app/blobs/uploads/?digest={Digest.of(content)}"
        answer = await api.ask("POST", path, content)
        assert answer.status_code in {201, 507}, answer.text
        if answer.status_code == 201:
            told[str(Digest.of(content))] = content
        else:
            assert "NoSpace" in answer.text
            refusals += 1
        if refusals > 40:
            break
    return refusals


async def check(api: Api, told: dict[str, bytes], tags: dict[str, bytes]) -> None:
    for digest, content in told.items():
        assert (await api.ask("GET", f"/v2/lab/app/blobs/{digest}")).content == content
    for tag, raw in tags.items():
        assert (await api.ask("GET", f"/v2/lab/app/manifests/{tag}")).content == raw
    assert [name for name in api.files() if name.startswith("uploads/")] == []


async def test_inside_a_disk_that_fills(small_disk: Path) -> None:
    told: dict[str, bytes] = {}
    tags: dict[str, bytes] = {}
    root = small_disk / "registry"
    async with open_api(root, VirtualClock()) as api:
        manifest = await api.prepare_manifest(b"layer")
        assert await fill(api, told) > 0
        # Manifests and tags are answered in the same way, and are there or are not.
        for number in range(2000):
            raw = format_manifest(Manifest(manifest.config, manifest.layers, {"n": f"{number} " + "x" * 3000}))
            answer = await api.put(raw, f"v{number}", content_type="application/vnd.oci.image.manifest.v1+json")
            assert answer.status_code in {201, 507}, answer.text
            if answer.status_code == 507:
                break
            tags[f"v{number}"] = raw
        assert answer.status_code == 507
        await check(api, told, tags)
        # Not a byte is left; the collection that empties the disk needs some.
        filler = small_disk / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        answer = await api.ask("POST", f"/v2/lab/app/blobs/uploads/?digest={Digest.of(b'y' * 9000)}", b"y" * 9000)
        assert answer.status_code == 507
        await api.clock.advance(86_400)
        told.clear()
        _, collected = await api.registry.collector.collect(NoEvidence(), Policy(settling_seconds=0.0))
        assert collected.blobs_bytes > 5_000_000
        assert (root / "reserve").stat().st_size == RESERVE_BYTES
        await check(api, told, tags)
        content = b"there is space again" * 100_000
        await api.push_blob(content)
    async with open_api(root, VirtualClock()) as api:
        assert (await api.registry.scrub.run()).damages == ()
        await check(api, {str(Digest.of(content)): content}, tags)
