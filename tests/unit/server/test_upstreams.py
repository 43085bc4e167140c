"""Upstreams as the user says them: what fills a prefix, what mends one, and what is not understood."""

import asyncio
from pathlib import Path

import pytest

from fakes.registry import push_image, serve_registry
from towpath.aio.clock import SystemClock
from towpath.errors import UserError
from towpath.http.certificates import ensure_certificates
from towpath.http.server import Listener
from towpath.oci.digest import Digest
from towpath.oci.keyring import Credential, format_docker_config
from towpath.oci.platform import Platform
from towpath.registry.pullthrough import UpstreamError
from towpath.server.upstreams import Upstreams


@pytest.mark.parametrize(
    "value", ["hub", "hub=", "=docker.io", "a/b=docker.io", "HUB=docker.io", "hub=https://docker.io", "hub=ghcr.io/ME"]
)
def test_what_is_no_upstream_is_said_with_an_example(value: str) -> None:
    with pytest.raises(UserError, match="PREFIX=REGISTRY") as caught:
        Upstreams(fill=[value], clock=SystemClock())
    assert "hub=docker.io" in caught.value.diagnostics()


def test_a_prefix_has_one_upstream() -> None:
    with pytest.raises(UserError, match=r"hub is docker\.io already"):
        Upstreams(fill=["hub=docker.io", "hub=ghcr.io"], clock=SystemClock())


async def test_a_prefix_is_filled_with_the_logins_of_the_file(tmp_path: Path) -> None:
    async with serve_registry(tmp_path / "origin") as origin:
        pusher = origin.client()
        await push_image(pusher, origin.reference("lab/app:v1"))
        logins = tmp_path / "auth.json"
        logins.write_bytes(format_docker_config({origin.host: Credential("reader", "reader-secret")}))
        upstreams = Upstreams(fill=[f"there={origin.host}"], logins=logins, clock=SystemClock())
        await upstreams.start()
        async with serve_registry(tmp_path / "here", upstreams=upstreams.filling) as here:
            puller = here.client()
            image = await puller.image(here.reference("there/lab/app:v1"), Platform("linux", "amd64"))
            assert image.manifest.layers
            await puller.close()
        await upstreams.close()
        await pusher.close()


async def test_damage_is_mended_from_where_the_platform_is_mirrored_to(tmp_path: Path) -> None:
    async with serve_registry(tmp_path / "mirror") as mirror, serve_registry(tmp_path / "home") as home:
        logins = tmp_path / "auth.json"
        logins.write_bytes(format_docker_config({mirror.host: Credential("reader", "reader-secret")}))
        upstreams = Upstreams(mend=[f"home={mirror.host}/lab"], logins=logins, clock=SystemClock())
        await upstreams.start()
        ours, theirs = home.client(), mirror.client()
        await push_image(ours, home.reference("home/app:v1"), layers=(b"precious",))
        await push_image(theirs, mirror.reference("lab/app:v1"), layers=(b"precious",))
        (damaged,) = [
            path
            for path in (tmp_path / "home" / "blobs").rglob("*")
            if path.is_file() and path.read_bytes() == b"precious"
        ]
        damaged.chmod(0o600)
        damaged.write_bytes(b"preciouz")
        async with asyncio.timeout(60):
            found = await home.registry.scrub.run(find_upstream=upstreams.find_mender)
        assert [one.repaired_from for one in found.damages] == ["home/app"]
        assert damaged.read_bytes() == b"precious"
        for client in (ours, theirs):
            await client.close()
        await upstreams.close()


@pytest.mark.parametrize(
    ("glob", "warned"), [("hub/*", True), ("*", True), ("hub/library/redis", True), ("h*", True), ("lab/*", False)]
)
def test_that_everybody_may_fill_a_prefix_is_said(glob: str, *, warned: bool, caplog: pytest.LogCaptureFixture) -> None:
    Upstreams(fill=["hub=docker.io"], clock=SystemClock()).warn_of_strangers([glob])
    assert (f"--anonymous-pull {glob} lets everybody" in caplog.text) == warned


async def test_what_the_mirror_has_not_is_named(tmp_path: Path) -> None:
    async with serve_registry(tmp_path / "mirror") as mirror:
        logins = tmp_path / "auth.json"
        logins.write_bytes(format_docker_config({mirror.host: Credential("admin", "admin-secret")}))
        upstreams = Upstreams(mend=[f"home={mirror.host}/lab"], logins=logins, clock=SystemClock())
        await upstreams.start()
        mender = upstreams.find_mender("home/app")
        assert mender is not None
        with pytest.raises(UpstreamError, match="is not at"):
            async for _ in mender.open_blob("home/app", Digest.of(b"never")):
                pass
        assert upstreams.find_mender("other/app") is None
        await upstreams.close()


async def test_an_upstream_over_tls_is_trusted_by_what_is_kept_for_it(tmp_path: Path) -> None:
    files = ensure_certificates(tmp_path / "tls", names=["127.0.0.1"], now=SystemClock().now())
    async with serve_registry(tmp_path / "origin") as origin:
        pusher = origin.client()
        await push_image(pusher, origin.reference("lab/app:v1"))
        listener = Listener(origin.app, certificate=files.certificate, key=files.key)
        await listener.start()
        host = f"127.0.0.1:{listener.port}"
        (tmp_path / "certs.d" / host).mkdir(parents=True)
        (tmp_path / "certs.d" / host / "ca.crt").write_bytes(files.authority_bytes())
        logins = tmp_path / "auth.json"
        logins.write_bytes(format_docker_config({host: Credential("reader", "reader-secret")}))
        upstreams = Upstreams(
            fill=[f"there={host}"], logins=logins, certificates=[tmp_path / "certs.d"], clock=SystemClock()
        )
        await upstreams.start()
        found = await upstreams.filling["there"].find_digest("lab/app", "v1")
        assert found is not None
        await upstreams.close()
        await listener.close()
        await pusher.close()
