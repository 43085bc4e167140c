"""A registry on its own: what it does by itself."""

import asyncio
import ssl
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fakes.clock import VirtualClock
from fakes.registry import RegistryServer, push_image, serve_registry
from fakes.registry_api import open_api
from towpath.aio.clock import SystemClock
from towpath.errors import TowpathError, UserError
from towpath.oci import media
from towpath.oci.digest import Digest
from towpath.oci.keyring import Credential, Keyring, format_docker_config
from towpath.oci.manifest import format_manifest
from towpath.oci.reference import Reference
from towpath.ociclient.client import RegistryClient
from towpath.server.registrysettings import RegistrySettings
from towpath.server.standalone import StandaloneRegistry

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


def test_a_registry_that_nobody_fills_in_clear_text_imports_no_client_and_no_certificates() -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom towpath.aio.clock import SystemClock\n"
        "from towpath.server.registrysettings import RegistrySettings\n"
        "from towpath.server.standalone import StandaloneRegistry\n"
        "StandaloneRegistry(RegistrySettings(Path('none')), clock=SystemClock())\n"
        "print([name for name in sys.modules if name.startswith(('towpath.ociclient', 'towpath.server.upstreams', "
        "'towpath.server.owncertificate', 'towpath.http.certificates'))])"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert told.stdout == "[]\n"


async def test_a_certificate_of_its_own_is_renewed_while_it_serves(tmp_path: Path) -> None:
    clock = VirtualClock()
    settings = RegistrySettings(tmp_path / "alone", tls=True)
    assert settings.trusted is not None
    alone = StandaloneRegistry(settings, clock=clock)
    where = urlsplit(await alone.start())
    assert where.port is not None
    address = ("127.0.0.1", where.port)
    try:
        authority = settings.trusted.read_bytes()
        first = await asyncio.to_thread(ssl.get_server_certificate, address)
        async with asyncio.timeout(60):
            while (served := await asyncio.to_thread(ssl.get_server_certificate, address)) == first:
                await clock.advance(30 * DAY)
    finally:
        await alone.close()
    assert served == (settings.tls_directory / "server.crt").read_text()
    assert settings.trusted.read_bytes() == authority


async def test_a_certificate_that_cannot_be_kept_is_said(tmp_path: Path) -> None:
    settings = RegistrySettings(tmp_path / "alone", tls=True)
    settings.root.mkdir()
    settings.tls_directory.write_text("in the way")
    with pytest.raises(TowpathError, match=r"certificate in .*alone/tls cannot be kept \(FileExistsError\)"):
        await StandaloneRegistry(settings, clock=VirtualClock()).start()


async def test_clear_text_makes_no_certificate(tmp_path: Path) -> None:
    settings = RegistrySettings(tmp_path / "alone")
    alone = StandaloneRegistry(settings, clock=VirtualClock())
    assert (await alone.start()).startswith("http://")
    await alone.close()
    assert not settings.tls_directory.exists()


async def test_a_directory_that_cannot_be_made_is_named_with_a_next_step(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    registry = StandaloneRegistry(RegistrySettings(tmp_path / "file" / "registry"), clock=SystemClock())
    with pytest.raises(
        UserError, match=r"registry directory .*/file/registry cannot be opened \(NotADirectory"
    ) as failed:
        await registry.start()
    assert failed.value.hint
