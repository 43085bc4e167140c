"""A registry on its own: what it does by itself."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.clock import VirtualClock
from fakes.registry import RegistryServer, push_image, serve_registry
from fakes.registry_api import open_api
from towpath.aio.clock import SystemClock
from towpath.oci import media
from towpath.oci.digest import Digest
from towpath.oci.keyring import Credential, Keyring, format_docker_config
from towpath.oci.manifest import format_manifest
from towpath.oci.reference import Reference
from towpath.ociclient.client import RegistryClient
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


def logins_for(registry: RegistryServer, path: Path) -> Path:
    """The logins of who may read there."""
    path.write_bytes(format_docker_config({registry.host: Credential("reader", "reader-secret")}))
    return path


async def test_prefixes_are_filled_from_other_registries_and_that_strangers_may_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve_registry(tmp_path / "other") as other:
        pusher = other.client()
        pushed = await push_image(pusher, other.reference("lab/app:v1"))
        settings = RegistrySettings(
            tmp_path / "alone",
            anonymous_pull=("there/*",),
            upstreams=(f"there={other.host}",),
            upstream_logins=logins_for(other, tmp_path / "logins.json"),
        )
        alone = StandaloneRegistry(settings, clock=SystemClock())
        address = await alone.start()
        stranger = RegistryClient(keyring=Keyring(), clock=SystemClock())
        try:
            reference = Reference.parse(f"{address.removeprefix('http://')}/there/lab/app:v1")
            assert (await stranger.resolve(reference)).digest == pushed.digest
        finally:
            await stranger.close()
            await alone.close()
            await pusher.close()
    assert "lets everybody" in caplog.text


async def test_damage_is_found_once_a_week_told_and_mended(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root, clock = tmp_path / "alone", VirtualClock()
    async with serve_registry(tmp_path / "other") as other:
        pusher = other.client()
        await push_image(pusher, other.reference("lab/app:v1"), layers=(b"precious",))
        async with serve_registry(root) as before:
            client = before.client()
            await push_image(client, before.reference("home/app:v1"), layers=(b"precious",))
            await client.close()
        (damaged,) = [path for path in (root / "blobs").rglob("*") if path.name == Digest.of(b"precious").hex]
        damaged.chmod(0o600)
        damaged.write_bytes(b"preciouz")
        settings = RegistrySettings(
            root,
            mend_from=(f"home={other.host}/lab",),
            upstream_logins=logins_for(other, tmp_path / "logins.json"),
        )
        alone = StandaloneRegistry(settings, clock=clock)
        await alone.start()
        try:
            async with asyncio.timeout(60):
                while "mended from the upstream of home/app" not in caplog.text:
                    await clock.advance(600)
                    await asyncio.sleep(0.002)
        finally:
            await alone.close()
            await pusher.close()
    assert damaged.read_bytes() == b"precious"


def test_a_registry_that_nobody_fills_imports_no_client() -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom towpath.aio.clock import SystemClock\n"
        "from towpath.server.standalone import RegistrySettings, StandaloneRegistry\n"
        "StandaloneRegistry(RegistrySettings(Path('none')), clock=SystemClock())\n"
        "print([name for name in sys.modules if name.startswith(('towpath.ociclient', 'towpath.server.upstreams'))])"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert told.stdout == "[]\n"
