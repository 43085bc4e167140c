"""Bit rot: found, told, kept from clients, mended."""

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path

import pytest

from fakes.clock import VirtualClock
from fakes.registry_api import Api, open_api
from towpath.errors import RemoteError
from towpath.oci import media
from towpath.oci.annotations import SERVICE
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.manifest import Index, format_manifest
from towpath.registry.errors import DamagedContentError
from towpath.registry.keeper.findings import Progress

LAYER = b"layer " * 1000


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with open_api(tmp_path / "registry", VirtualClock()) as opened:
        yield opened


class Mirror:
    """An upstream that has some blobs, or fails."""

    def __init__(self, *contents: bytes, lies: bool = False) -> None:
        self._contents = {str(Digest.of(content)): content for content in contents}
        self._lies = lies
        self.asked: list[str] = []

    async def open_blob(self, repository: str, digest: Digest) -> AsyncGenerator[bytes, None]:
        self.asked.append(repository)
        if str(digest) not in self._contents:
            raise RemoteError(f"{digest} is not there (NotFound)")
        for byte in self._contents[str(digest)]:
            yield b"?" if self._lies else bytes([byte])

    async def get_manifest(self, repository: str, digest: Digest) -> tuple[bytes, str]:
        pieces = [piece async for piece in self.open_blob(repository, digest)]
        return b"".join(pieces), media.OCI_MANIFEST


def path_of(api: Api, content: bytes) -> Path:
    digest = Digest.of(content)
    return api.root / "blobs" / digest.algorithm / digest.hex[:2] / digest.hex


def rot(api: Api, content: bytes) -> None:
    """Turn one bit, as a disk does: length and times stay."""
    path = path_of(api, content)
    times = path.stat()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])

    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not is_so():  # noqa: ASYNC110 - the clock has no event for who sleeps on it
            await asyncio.sleep(0.001)


async def scrub(api: Api, mirror: Mirror | None = None) -> Progress:
    return await api.registry.scrub.run(find_upstream=lambda _: mirror)


async def test_a_whole_registry_is_read_and_found_well(api: Api) -> None:
    manifest = await api.prepare_manifest(LAYER)
    await api.put(manifest, "v1")
    progress = await scrub(api)

    assert (progress.damages, progress.checked) == ((), 2)
    assert progress.checked_bytes == progress.total_bytes > len(LAYER)
    assert progress.finished_at == api.clock.now() == api.registry.scrub.find_last_end()


@pytest.mark.parametrize("harm", ["bit", "cut", "missing"])
async def test_damage_is_told_with_what_it_affects_and_never_served(api: Api, harm: str) -> None:
    raw = format_manifest(await api.prepare_manifest(LAYER))
    await api.put(raw, "v1", content_type=media.OCI_MANIFEST)
    entry = Descriptor(media.OCI_MANIFEST, Digest.of(raw), len(raw), {SERVICE: "app"})
    await api.put(Index((entry,)), "all", repository="lab/index")
    await api.put(await api.prepare_manifest(b"other"), "v2")
    if harm == "bit":
        rot(api, LAYER)
    elif harm == "cut":
        path_of(api, LAYER).write_bytes(LAYER[:-1])
    else:
        path_of(api, LAYER).unlink()
    progress = await scrub(api)
    (damage,) = progress.damages

    assert damage.digest == str(Digest.of(LAYER))
    assert "is damaged" in damage.problem
    assert [(fact.repository, fact.tags[0].name) for fact in damage.affected] == [
        ("lab/app", "v1"),
        ("lab/index", "all"),
    ]
    answer = await api.ask("GET", f"/v2/lab/app/blobs/{Digest.of(LAYER)}")
    assert (answer.status_code, "damaged" in answer.text) == (500, True)
    assert (await api.ask("HEAD", f"/v2/lab/app/blobs/{Digest.of(LAYER)}")).status_code == 404
    assert (await api.ask("GET", f"/v2/lab/app/blobs/{Digest.of(b'other')}")).status_code == 200


async def test_a_file_that_is_cut_short_while_it_is_read_ends_the_pull(api: Api) -> None:
    content = b"x" * (3 * 1024 * 1024)
    await api.push_blob(content)
    pieces = api.registry.blobs.read(
        await api.registry.blobs.open(Digest.of(content), size=len(content), start=0, stop=len(content))
    )
    first = await anext(pieces)
    os.truncate(path_of(api, content), len(first))
    async with asyncio.timeout(60):
        with pytest.raises(DamagedContentError, match="CutShort"):
            await anext(pieces)


async def test_a_push_heals_what_was_damaged(api: Api) -> None:
    await api.put(await api.prepare_manifest(LAYER), "v1")
    rot(api, LAYER)
    await scrub(api)
    await api.push_blob(LAYER)

    assert (await api.ask("GET", f"/v2/lab/app/blobs/{Digest.of(LAYER)}")).content == LAYER
    assert (await scrub(api)).damages == ()


async def test_what_was_moved_aside_is_kept_for_a_month(tmp_path: Path) -> None:
    clock = VirtualClock(start=time.time())  # the files' own times are the machine's
    async with open_api(tmp_path / "registry", clock) as api:
        await api.put(await api.prepare_manifest(LAYER), "v1")
        rot(api, LAYER)
        await scrub(api)
        aside = [f"damaged/{Digest.of(LAYER).hex}"]
        for _ in range(10):
            await clock.advance(2.9 * 86_400)
            await api.registry.purge_uploads()
        assert [name for name in api.files() if name.startswith("damaged/")] == aside
        await clock.advance(2 * 86_400)
        async with asyncio.timeout(60):
            while any(name.startswith("damaged/") for name in api.files()):
                await clock.advance(1000)  # to the next look of the purge
                await asyncio.sleep(0.001)


async def test_an_upstream_mends_what_was_damaged(api: Api) -> None:
    await api.put(await api.prepare_manifest(LAYER), "v1")
    rot(api, LAYER)
    progress = await scrub(api, Mirror(LAYER))

    assert progress.damages[0].repaired_from == "lab/app"
    assert (await api.ask("GET", f"/v2/lab/app/blobs/{Digest.of(LAYER)}")).content == LAYER
    assert [name for name in api.files() if not name.startswith("blobs/")] == [f"damaged/{Digest.of(LAYER).hex}"]


@pytest.mark.parametrize("mirror", [Mirror(), Mirror(LAYER, lies=True)])
async def test_an_upstream_that_has_it_not_or_sends_other_bytes_changes_nothing(api: Api, mirror: Mirror) -> None:
    await api.put(await api.prepare_manifest(LAYER), "v1")
    rot(api, LAYER)
    progress = await scrub(api, mirror)

    assert mirror.asked == ["lab/app"]
    assert progress.damages[0].repaired_from == ""
    assert (await api.ask("GET", f"/v2/lab/app/blobs/{Digest.of(LAYER)}")).status_code == 500
    assert [name for name in api.files() if name.startswith("uploads/")] == []


def rot_manifest(api: Api, tag: str) -> None:
    with sqlite3.connect(api.root / "catalog.db") as database:
        database.execute(
            "UPDATE manifests SET content = X'7B7D' WHERE digest = (SELECT digest FROM tags WHERE name = ?)", (tag,)
        )
    database.close()


async def test_an_upstream_mends_a_damaged_manifest(api: Api) -> None:
    raw = format_manifest(await api.prepare_manifest(LAYER))
    await api.put(raw, "v1", content_type=media.OCI_MANIFEST)
    rot_manifest(api, "v1")
    progress = await scrub(api, Mirror(raw))

    assert [(one.digest, one.repaired_from) for one in progress.damages] == [(str(Digest.of(raw)), "lab/app")]
    assert (await api.ask("GET", "/v2/lab/app/manifests/v1")).content == raw
    assert (await scrub(api)).damages == ()


@pytest.mark.parametrize("lies", [False, True])
async def test_a_damaged_manifest_that_no_upstream_has_is_told_and_not_served(api: Api, lies: bool) -> None:
    raw = format_manifest(await api.prepare_manifest(LAYER))
    await api.put(raw, "v1", content_type=media.OCI_MANIFEST)
    rot_manifest(api, "v1")
    progress = await scrub(api, Mirror(raw, lies=True) if lies else Mirror())

    assert [one.repaired_from for one in progress.damages] == [""]
    assert (await api.ask("GET", "/v2/lab/app/manifests/v1")).status_code == 500


async def test_a_damaged_manifest_and_one_that_lacks_a_blob_are_told(api: Api) -> None:
    await api.put(await api.prepare_manifest(LAYER), "v1")
    await api.put(await api.prepare_manifest(b"other"), "v2")
    rot_manifest(api, "v1")
    with sqlite3.connect(api.root / "catalog.db") as database:
        database.execute("DELETE FROM links WHERE digest = ?", (str(Digest.of(b"other")),))
    database.close()
    progress = await scrub(api)

    assert [damage.affected[0].tags[0].name for damage in progress.damages] == ["v1", "v2"]
    assert "DigestMismatch" in progress.damages[0].problem
    assert f"Incomplete): it lacks {Digest.of(b'other')}" in progress.damages[1].problem


async def test_an_image_whose_blobs_come_from_an_upstream_when_they_are_asked_for_is_not_incomplete(api: Api) -> None:
    await api.put(await api.prepare_manifest(LAYER), "v1")
    with sqlite3.connect(api.root / "catalog.db") as database:
        database.execute("DELETE FROM links WHERE digest = ?", (str(Digest.of(LAYER)),))
    database.close()

    assert (await scrub(api, Mirror(LAYER))).damages == ()


async def test_the_rate_is_kept_and_transfers_go_on_meanwhile(api: Api) -> None:
    content = b"x" * (3 * 1024 * 1024)
    await api.push_blob(content)
    running = asyncio.create_task(api.registry.scrub.run(bytes_per_second=1024 * 1024))
    await until(lambda: api.clock.sleepers == 2)  # the purge, and the scrub between two pieces
    assert (await api.ask("GET", f"/v2/lab/app/blobs/{Digest.of(content)}")).content == content
    assert not running.done()
    started = api.clock.now()
    while not running.done():
        await api.clock.advance(0.5)
        await asyncio.sleep(0.001)

    assert api.clock.now() - started >= 3
    assert running.result().damages == ()


async def test_an_interrupted_run_is_taken_up_where_it_stopped(tmp_path: Path) -> None:
    async with open_api(tmp_path / "registry", VirtualClock()) as api:
        blobs = sorted([str((await api.push_blob(b"%d" % number)).digest) for number in range(10)])
        await api.registry.scrub._write_mark(after=blobs[6])
    async with open_api(tmp_path / "registry", VirtualClock()) as api:
        resumed = await api.registry.scrub.run(resume=True)
        assert resumed.checked == 3
        assert (await api.registry.scrub.run(resume=True)).checked == 10, "the next run begins anew"


async def test_a_blob_that_is_deleted_while_it_is_read_is_no_damage(api: Api) -> None:
    content = b"x" * (3 * 1024 * 1024)
    await api.push_blob(content)
    later = await api.push_blob(b"y")
    running = asyncio.create_task(api.registry.scrub.run(bytes_per_second=1024 * 1024))
    await until(lambda: api.clock.sleepers == 2)
    for digest in (Digest.of(content), later.digest):
        assert (await api.ask("DELETE", f"/v2/lab/app/blobs/{digest}")).status_code == 202
    while not running.done():
        await api.clock.advance(1)
        await asyncio.sleep(0.001)

    assert running.result().damages == ()


async def interrupt_after_damage(api: Api) -> Progress:
    """Begin a scrub, and end it as a restart does once it has found something."""
    running = asyncio.create_task(api.registry.scrub.run(bytes_per_second=1024.0))

    def has_found() -> bool:
        progress = api.registry.scrub.progress
        return progress is not None and progress.damages != () and "after" in api.registry.scrub._read_mark()

    async with asyncio.timeout(60):
        while not has_found():
            await api.clock.advance(1000)
            await asyncio.sleep(0.001)
    running.cancel()
    await asyncio.wait([running])
    found = api.registry.scrub.progress
    assert found is not None
    return found


@pytest.mark.parametrize("healed", [False, True])
async def test_what_was_found_before_a_restart_is_told_after_it_until_it_is_healed(
    tmp_path: Path, healed: bool
) -> None:
    first, *rest = sorted((b"a" * 10_000, b"b" * 10_000, b"c" * 10_000), key=lambda content: str(Digest.of(content)))
    async with open_api(tmp_path / "registry", VirtualClock()) as api:
        await api.put(await api.prepare_manifest(first, *rest), "v1")
        rot(api, first)
        before = await interrupt_after_damage(api)
        assert before.finished_at is None
    async with open_api(tmp_path / "registry", VirtualClock()) as api:
        noted = api.registry.scrub.progress
        assert noted is not None
        assert [(one.digest, one.problem) for one in noted.damages] == [
            (one.digest, one.problem) for one in before.damages
        ]
        assert [fact.tags[0].name for fact in noted.damages[0].affected] == ["v1"]
        if healed:
            await api.push_blob(first)
        resumed = await api.registry.scrub.run(resume=True)
        assert [one.digest for one in resumed.damages] == ([] if healed else [str(Digest.of(first))])
    async with open_api(tmp_path / "registry", VirtualClock()) as api:
        assert api.registry.scrub.progress is not None
        assert api.registry.scrub.progress.finished_at == resumed.finished_at
        assert len(api.registry.scrub.progress.damages) == (0 if healed else 1)
