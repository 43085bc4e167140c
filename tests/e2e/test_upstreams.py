"""`towpath up --upstream`: a service's base and other people's images come through the platform's own registry."""

import json
from pathlib import Path

from fakes.platform import LivePlatform, basic
from fakes.registry import password
from fakes.registry_process import run_registry
from towpath.oci import media
from towpath.oci.digest import Digest
from towpath.oci.keyring import Credential, format_docker_config

EMPTY = b"{}"
ARTIFACT = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": media.OCI_MANIFEST,
        "artifactType": "application/x.example",
        "config": {"mediaType": media.OCI_EMPTY, "digest": str(Digest.of(EMPTY)), "size": 2},
        "layers": [],
    }
).encode()


def test_what_another_registry_has_is_pulled_through_and_kept_when_that_is_gone(tmp_path: Path) -> None:
    with LivePlatform(tmp_path) as platform:
        platform.write_lab()
        with run_registry(tmp_path / "other") as other:
            push_artifact(platform, int(other.host.rpartition(":")[2]))
            logins = tmp_path / "logins.json"
            logins.write_bytes(format_docker_config({other.host: Credential("reader", password("reader"))}))
            platform.start("--upstream", f"there={other.host}", "--upstream-logins", str(logins))
            own = {"Authorization": basic("towpath", platform.token), "Accept": media.OCI_MANIFEST}
            pulled = platform.request("GET", "/v2/there/lab/thing/manifests/v1", headers=own)
            assert pulled == (200, ARTIFACT)
        again = platform.request("GET", f"/v2/there/lab/thing/manifests/{Digest.of(ARTIFACT)}", headers=own)
        assert again == (200, ARTIFACT)


def test_a_wrong_upstream_ends_the_start_with_an_example(tmp_path: Path) -> None:
    with LivePlatform(tmp_path) as platform:
        platform.write_lab()
        told = platform.towpath("up", "--upstream", "docker.io", expect=2)
        assert "hub=docker.io" in told.err


def push_artifact(platform: LivePlatform, port: int) -> None:
    """Put a small artifact into the other registry, with its administrator's password."""
    own = {"Authorization": basic("admin", password("admin")), "Content-Type": "application/octet-stream"}
    uploads = "/v2/lab/thing/blobs/uploads/"
    status, answer = platform.request(
        "POST", f"{uploads}?digest={Digest.of(EMPTY)}", body=EMPTY, headers=own, port=port
    )
    assert status == 201, answer
    own["Content-Type"] = media.OCI_MANIFEST
    status, answer = platform.request("PUT", "/v2/lab/thing/manifests/v1", body=ARTIFACT, headers=own, port=port)
    assert status == 201, answer
