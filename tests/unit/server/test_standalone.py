"""A registry on its own: what it does by itself."""

import asyncio
from pathlib import Path

import pytest

from fakes.clock import VirtualClock
from fakes.registry_api import open_api
from towpath.oci import media
from towpath.oci.digest import Digest
from towpath.oci.manifest import format_manifest
from towpath.server.standalone import RegistrySettings, StandaloneRegistry

DAY = 86_400.0


def blobs(root: Path) -> set[str]:
    return {path.name for path in (root / "blobs").rglob("*") if path.is_file()}


@pytest.mark.parametrize("daily", [True, False])
async def test_what_no_tag_leads_to_goes_once_a_day_where_that_is_wanted(tmp_path: Path, daily: bool) -> None:
    root, clock = tmp_path / "registry", VirtualClock()
    async with open_api(root, clock) as api:
        await api.put(await api.prepare_manifest(b"tagged"), "v1")
        raw = format_manifest(await api.prepare_manifest(b"untagged"))
        await api.put(raw, str(Digest.of(raw)), content_type=media.OCI_MANIFEST)
    untagged = Digest.of(b"untagged").hex
    registry = StandaloneRegistry(RegistrySettings(root, collect_daily=daily), clock=clock)
    await registry.start()
    try:
        for _ in range(27):
            await clock.advance(3600)
            await asyncio.sleep(0.002)
        if daily:
            async with asyncio.timeout(60):
                while untagged in blobs(root):
                    await clock.advance(3600)
                    await asyncio.sleep(0.002)
    finally:
        await registry.close()

    assert (untagged in blobs(root)) != daily
    assert Digest.of(b"tagged").hex in blobs(root)
