"""SIGKILL in the middle of pushes: what was acknowledged is there afterwards, and nothing else is."""

import http.client
import itertools
import json
import threading
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fakes.clock import VirtualClock
from fakes.registry import password
from fakes.registry_api import open_api
from fakes.registry_process import RegistryProcess, run_registry
from towpath.oci import media
from towpath.oci.descriptor import Descriptor
from towpath.oci.digest import Digest
from towpath.oci.manifest import Manifest, format_manifest

AUTHORIZATION = "Basic " + b64encode(f"admin:{password('admin')}".encode()).decode()
FAR_AHEAD = 4_102_444_800.0


@dataclass
class Pusher:
    """Pushes images one after the other until the registry is gone, and keeps what was acknowledged."""

    host: str
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: list[str] = field(default_factory=list)
    attempted: str = ""

    def push_for_ever(self) -> None:
        connection = http.client.HTTPConnection(self.host)
        try:
            for number in itertools.count():
                self._push_image(connection, number)
        except (OSError, http.client.HTTPException):
            return
        finally:
            connection.close()

    def _push_image(self, connection: http.client.HTTPConnection, number: int) -> None:
        config = self._push_blob(connection, b'{"number":%d}' % number)
        layer = self._push_blob(connection, b"%d" % number * 100_000)
        raw = format_manifest(Manifest(config, (layer,)))
        self.attempted = str(Digest.of(raw))
        headers = {"Content-Type": media.OCI_MANIFEST}
        self._ask(connection, "PUT", "/v2/lab/app/manifests/canary", raw, headers, expect=201)
        self.manifests.append(self.attempted)

    def _push_blob(self, connection: http.client.HTTPConnection, content: bytes) -> Descriptor:
        digest = Digest.of(content)
        location = self._ask(connection, "POST", "/v2/lab/app/blobs/uploads/", b"", {}, expect=202)
        location = self._ask(connection, "PATCH", location, content, {}, expect=202)
        self._ask(connection, "PUT", f"{location}?digest={digest}", b"", {}, expect=201)
        self.blobs[str(digest)] = content
        return Descriptor(media.OCI_LAYER, digest, len(content))

    def _ask(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes,
        headers: dict[str, str],
        *,
        expect: int,
    ) -> str:
        connection.request(method, path, body, {"Authorization": AUTHORIZATION, **headers})
        response = connection.getresponse()
        response.read()
        assert response.status == expect
        return response.headers.get("Location", "")


def push_until_killed(registry: RegistryProcess, seconds: float) -> list[Pusher]:
    """Two pushers at once; the registry is killed after this time."""
    pushers = [Pusher(registry.host), Pusher(registry.host)]
    threads = [threading.Thread(target=pusher.push_for_ever) for pusher in pushers]
    killer = threading.Timer(seconds, registry.kill)
    for thread in (*threads, killer):
        thread.start()
    for thread in (*threads, killer):
        thread.join()
    return pushers


async def check_after_crash(root: Path, pushers: list[Pusher]) -> None:
    async with open_api(root, VirtualClock()) as api:
        assert (await api.registry.scrub.run()).damages == ()
        for pusher in pushers:
            for digest, content in pusher.blobs.items():
                assert (await api.ask("GET", f"/v2/lab/app/blobs/{digest}")).content == content
            for digest in pusher.manifests:
                assert (await api.ask("GET", f"/v2/lab/app/manifests/{digest}")).status_code == 200
        tag = await api.ask("GET", "/v2/lab/app/manifests/canary")
        if any(pusher.manifests for pusher in pushers):
            expected = {digest for p in pushers for digest in (*p.manifests[-1:], p.attempted)}
            assert str(Digest.of(tag.content)) in expected
            document = json.loads(tag.content)
            for entry in (document["config"], *document["layers"]):
                assert (await api.ask("HEAD", f"/v2/lab/app/blobs/{entry['digest']}")).status_code == 200
        assert len([name for name in api.files() if name.startswith("uploads/")]) <= len(pushers)
    # An hour later nobody comes back for the interrupted uploads.
    async with open_api(root, VirtualClock(start=FAR_AHEAD)) as api:
        known = len(api.registry._require()[1].blobs())
        assert len(api.files()) == known


@pytest.mark.parametrize("milliseconds", [1, 15, 40, 90])
async def test_a_kill_during_pushes_loses_nothing_acknowledged(tmp_path: Path, milliseconds: int) -> None:
    with run_registry(tmp_path / "registry") as registry:
        pushers = push_until_killed(registry, milliseconds / 1000)
    await check_after_crash(tmp_path / "registry", pushers)


@pytest.mark.faults
async def test_many_kills_of_one_registry_lose_nothing_acknowledged(tmp_path: Path) -> None:
    pushers: list[Pusher] = []
    for round_number in range(25):
        with run_registry(tmp_path / "registry") as registry:
            pushers += push_until_killed(registry, 0.003 * round_number * 1.7)
    for pusher in pushers:
        pusher.manifests = pusher.manifests[-1:]
    await check_after_crash(tmp_path / "registry", pushers)
