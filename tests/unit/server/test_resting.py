"""The keeper of a registry on its own that does not run."""

import asyncio
from pathlib import Path

import pytest

from fakes.clock import VirtualClock
from fakes.registry_api import Api, open_api
from towpath.errors import ConflictError, NotFoundError, RefusedError
from towpath.oci import media
from towpath.oci.digest import Digest
from towpath.oci.manifest import format_manifest
from towpath.registry.errors import DamagedContentError
from towpath.registry.service import Registry
from towpath.server.registrysettings import RegistrySettings, check_settings
from towpath.server.resting import RestingKeeper

TAGGED, UNTAGGED, FRESH = b"tagged", b"untagged", b"fresh"
HOURS = 3600.0


async def put_untagged(api: Api, content: bytes) -> None:
    raw = format_manifest(await api.prepare_manifest(content))
    await api.put(raw, str(Digest.of(raw)), content_type=media.OCI_MANIFEST)


async def fill(root: Path, clock: VirtualClock) -> None:
    async with open_api(root, clock) as api:
        await api.put(await api.prepare_manifest(TAGGED), "v1")
        await put_untagged(api, UNTAGGED)
        await clock.advance(3 * HOURS)
        await put_untagged(api, FRESH)


def has(root: Path, content: bytes) -> bool:
    return any(path.name == Digest.of(content).hex for path in (root / "blobs").rglob("*"))


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def root(tmp_path: Path, clock: VirtualClock) -> Path:
    asyncio.run(fill(tmp_path / "registry", clock))
    return tmp_path / "registry"


def test_a_collection_is_planned_with_reasons_and_nothing_is_removed(root: Path, clock: VirtualClock) -> None:
    planned = RestingKeeper(root, clock=clock).collect(apply=False)
    assert (planned["applied"], planned["removed"], planned["kept"]) == (False, 1, 2)
    reasons = {one["decision"]: one["reasons"] or one["removal"] for one in planned["manifests"] if one["tags"] == []}
    assert reasons["removed"] == "no tag, no index and nothing outside names it; pushed 3h ago"
    assert [reason["reason"] for reason in reasons["kept"]] == ["grace"]
    assert all(has(root, content) for content in (TAGGED, UNTAGGED, FRESH))


def test_a_collection_that_is_meant_removes_what_no_tag_leads_to_and_is_past_its_grace(
    root: Path, clock: VirtualClock
) -> None:
    done = RestingKeeper(root, clock=clock).collect(apply=True)
    assert (done["applied"], done["collected"]["manifests"]) == (True, 1)
    assert [has(root, content) for content in (TAGGED, UNTAGGED, FRESH)] == [True, False, True]
    assert RestingKeeper(root, clock=clock).collect(apply=False)["removed"] == 0


def test_usage_counts_what_is_there(root: Path, clock: VirtualClock) -> None:
    usage = RestingKeeper(root, clock=clock).usage()
    (one,) = usage["repositories"]
    assert (one["repository"], one["tags"], one["manifests"], one["blobs"]) == ("lab/app", 1, 3, 4)
    assert usage["quota"] == {}


def test_a_scrub_finds_bit_rot_and_the_last_one_is_remembered(root: Path, clock: VirtualClock) -> None:
    keeper = RestingKeeper(root, clock=clock)
    assert keeper.last_scrub() == {"running": False, "damages": []}
    assert keeper.scrub(lambda _: None)["damages"] == []
    (rotten,) = [path for path in (root / "blobs").rglob("*") if path.name == Digest.of(TAGGED).hex]
    rotten.chmod(0o600)
    rotten.write_bytes(b"taggee")
    found = keeper.scrub(lambda _: None)
    assert (found["running"], found["checked"]) == (False, 4)
    assert found["damages"][0]["affected"][0]["tags"] == ["v1"]
    assert keeper.last_scrub()["damages"] == found["damages"]


def test_a_registry_that_runs_is_told_apart_and_left_alone(root: Path, clock: VirtualClock) -> None:
    async def ask_beside_it() -> None:
        running = Registry(root, clock=clock)
        await running.start()
        try:
            for question in (RestingKeeper(root, clock=clock).usage, RestingKeeper(root, clock=clock).last_scrub):
                with pytest.raises(ConflictError, match="is running") as refused:
                    await asyncio.to_thread(question)
                assert "stop it first" in refused.value.hint
        finally:
            await running.close()

    asyncio.run(ask_beside_it())
    assert RestingKeeper(root, clock=clock).usage()["blobs"] == 4


def test_a_directory_that_is_no_registry_stays_as_it_is(tmp_path: Path, clock: VirtualClock) -> None:
    with pytest.raises(NotFoundError, match="is no registry"):
        RestingKeeper(tmp_path / "mistyped", clock=clock)
    assert list(tmp_path.iterdir()) == []


def test_the_registry_of_a_platform_is_not_collected_without_the_platform(tmp_path: Path, clock: VirtualClock) -> None:
    root = tmp_path / "lab" / ".towpath" / "registry"
    asyncio.run(fill(root, clock))
    for apply in (False, True):
        with pytest.raises(RefusedError, match="is the registry of a platform"):
            RestingKeeper(root, clock=clock).collect(apply=apply)
    assert has(root, UNTAGGED)
    assert RestingKeeper(root, clock=clock).usage()["blobs"] == 4
    with pytest.raises(RefusedError, match="is the registry of a platform"):
        check_settings(RegistrySettings(root, collect_daily=True))


def test_a_registry_that_is_damaged_beyond_opening_says_so(root: Path, clock: VirtualClock) -> None:
    (root / "catalog.db").write_bytes(b"no database" * 100)
    with pytest.raises(DamagedContentError, match=r"catalog\.db cannot be opened"):
        RestingKeeper(root, clock=clock).usage()
