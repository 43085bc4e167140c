"""The registry as oras for Python sees it: artifacts, chunks, what is attached to an image, and its discovery."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import oras.client
import oras.oci
import pytest

from fakes.registry_process import run_registry

pytestmark = pytest.mark.judge

CHUNK = 100_000


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    with run_registry(tmp_path / "registry") as registry:
        yield registry.host


def connect(host: str, user: str, backend: str) -> oras.client.OrasClient:
    client = oras.client.OrasClient(hostname=host, insecure=True, auth_backend=backend)
    client.auth.set_basic_auth(user, f"{user}-secret")
    return client


@pytest.fixture
def client(host: str) -> oras.client.OrasClient:
    # By password: with a token this client keeps the first one it gets, and that is for reading.
    return connect(host, "admin", "basic")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.bin"
    path.write_bytes(os.urandom(CHUNK * 3 + 7))
    return path


def push(client: oras.client.OrasClient, target: str, data: Path, **options: Any) -> None:
    client.push(target=target, files=[f"{data}:application/vnd.example.data"], disable_path_validation=True, **options)


@pytest.mark.parametrize("chunked", [False, True])
def test_an_artifact_is_pushed_and_pulled(
    host: str, client: oras.client.OrasClient, data: Path, tmp_path: Path, *, chunked: bool
) -> None:
    target = f"{host}/lab/artifact:v1"
    push(client, target, data, do_chunked=chunked, chunk_size=CHUNK)
    reader = connect(host, "reader", "token")
    (pulled,) = reader.pull(target=target, outdir=str(tmp_path / "out"))
    assert Path(pulled).read_bytes() == data.read_bytes()


def test_tags_are_listed_and_deleted(host: str, client: oras.client.OrasClient, data: Path) -> None:
    for tag in ("v2", "v1", "canary"):
        push(client, f"{host}/lab/artifact:{tag}", data)
    assert client.get_tags(f"{host}/lab/artifact") == ["canary", "v1", "v2"]
    assert client.get_tags(f"{host}/lab/artifact", N=1) == ["canary"]
    client.delete_tags(f"{host}/lab/artifact", "v1")
    assert "v1" not in client.get_tags(f"{host}/lab/artifact")


def test_what_is_attached_to_an_artifact_is_discovered(host: str, client: oras.client.OrasClient, data: Path) -> None:
    push(client, f"{host}/lab/artifact:v1", data)
    container = client.get_container(f"{host}/lab/artifact:v1")
    stored = client.do_request(f"http://{container.manifest_url()}", "GET")
    digest = stored.headers["Docker-Content-Digest"]
    subject = oras.oci.Subject(stored.headers["Content-Type"], digest, len(stored.content))
    push(client, f"{host}/lab/artifact:note", data, subject=subject, manifest_annotations={"org.example.note": "kept"})
    listed = client.do_request(f"http://{host}/v2/lab/artifact/referrers/{digest}", "GET")
    (entry,) = json.loads(listed.content)["manifests"]
    assert entry["annotations"] == {"org.example.note": "kept"}
    attached = client.get_manifest(f"{host}/lab/artifact@{entry['digest']}")
    assert attached["subject"]["digest"] == digest
