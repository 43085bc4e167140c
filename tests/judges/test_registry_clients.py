"""The registry as skopeo and podman see it."""

import hashlib
import io
import json
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.foreign import require
from fakes.layout import write_layout
from fakes.registry_process import run_registry

pytestmark = pytest.mark.judge

ADMIN = "admin:admin-secret"
READER = "reader:reader-secret"


def tar_of(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("data")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def run(*argv: str | Path, expect: int = 0, stdin: str = "") -> str:
    done = subprocess.run(list(map(str, argv)), input=stdin, capture_output=True, text=True, timeout=600, check=False)
    assert (done.returncode == 0) is (expect == 0), done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    with run_registry(tmp_path / "registry") as registry:
        yield registry.host


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    write_layout(tmp_path / "layout", tar_of(b"small"), tar_of(os.urandom(5_000_000)))
    return tmp_path / "layout"


@pytest.fixture
def short_directory() -> Iterator[Path]:
    # podman takes at most 50 characters, fewer than pytest's own directories have.
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


def skopeo(*arguments: str | Path, expect: int = 0) -> str:
    return run(require("skopeo"), *arguments, expect=expect)


def test_skopeo_copies_an_image_there_and_back(host: str, layout: Path, tmp_path: Path) -> None:
    remote = f"docker://{host}/lab/app:sha-0123456"
    skopeo("copy", "--dest-creds", ADMIN, "--dest-tls-verify=false", f"oci:{layout}:latest", remote)
    skopeo("copy", "--src-creds", READER, "--src-tls-verify=false", remote, f"dir:{tmp_path}/back")
    config = json.loads((tmp_path / "back" / "manifest.json").read_bytes())["config"]["digest"]
    # skopeo compresses plain layers on the way, so only the configuration is sure to be the same bytes.
    assert (layout / "blobs" / "sha256" / config.removeprefix("sha256:")).exists()


def test_skopeo_copies_bytes_exactly_when_told_to(host: str, layout: Path, tmp_path: Path) -> None:
    remote = f"docker://{host}/lab/app:exact"
    credentials = ("--dest-creds", ADMIN, "--dest-tls-verify=false")
    skopeo("copy", "--preserve-digests", *credentials, f"oci:{layout}:latest", remote)
    skopeo("copy", "--preserve-digests", "--src-creds", ADMIN, "--src-tls-verify=false", remote, f"dir:{tmp_path}/back")
    pushed = {path.name: path.read_bytes() for path in (layout / "blobs" / "sha256").iterdir()}
    manifest = (tmp_path / "back" / "manifest.json").read_bytes()
    assert manifest == pushed.pop(hashlib.sha256(manifest).hexdigest())
    assert pushed == {name: (tmp_path / "back" / name).read_bytes() for name in pushed}


def test_skopeo_inspects_lists_and_deletes(host: str, layout: Path) -> None:
    repository = f"docker://{host}/lab/app"
    for tag in ("canary", "sha-0123456"):
        skopeo("copy", "--dest-creds", ADMIN, "--dest-tls-verify=false", f"oci:{layout}:latest", f"{repository}:{tag}")
    shown = json.loads(skopeo("inspect", "--creds", READER, "--tls-verify=false", f"{repository}:canary"))
    assert (shown["Architecture"], shown["RepoTags"]) == ("amd64", ["canary", "sha-0123456"])
    listed = json.loads(skopeo("list-tags", "--creds", READER, "--tls-verify=false", repository))
    assert listed["Tags"] == ["canary", "sha-0123456"]
    skopeo("delete", "--creds", READER, "--tls-verify=false", f"{repository}:canary", expect=1)
    skopeo("delete", "--creds", ADMIN, "--tls-verify=false", f"{repository}:canary")
    skopeo("inspect", "--creds", READER, "--tls-verify=false", f"{repository}:canary", expect=1)


def test_skopeo_mounts_a_known_blob_in_another_repository(host: str, layout: Path) -> None:
    for repository in ("lab/one", "lab/two"):
        remote = f"docker://{host}/{repository}:canary"
        skopeo("copy", "--dest-creds", ADMIN, "--dest-tls-verify=false", f"oci:{layout}:latest", remote)
        skopeo("inspect", "--creds", READER, "--tls-verify=false", remote)


def test_skopeo_is_told_why_it_may_not(host: str, layout: Path) -> None:
    remote = f"docker://{host}/lab/app:canary"
    source = f"oci:{layout}:latest"
    assert "unauthorized" in skopeo("copy", "--dest-tls-verify=false", source, remote, expect=1)
    wrong = skopeo("copy", "--dest-creds", "admin:wrong", "--dest-tls-verify=false", source, remote, expect=1)
    assert "invalid username/password" in wrong
    denied = skopeo("copy", "--dest-creds", READER, "--dest-tls-verify=false", source, remote, expect=1)
    assert "requested access to the resource is denied" in denied or "unauthorized" in denied
    missing = skopeo("inspect", "--creds", READER, "--tls-verify=false", f"docker://{host}/lab/app:nope", expect=1)
    assert "name unknown" in missing or "manifest unknown" in missing or "not known" in missing


def test_skopeo_may_not_move_an_artifact_tag(host: str, layout: Path, tmp_path: Path) -> None:
    write_layout(tmp_path / "other", tar_of(b"other"))
    remote = f"docker://{host}/lab/app:sha-0123456"
    skopeo("copy", "--dest-creds", ADMIN, "--dest-tls-verify=false", f"oci:{layout}:latest", remote)
    refused = skopeo(
        "copy", "--dest-creds", ADMIN, "--dest-tls-verify=false", f"oci:{tmp_path}/other:latest", remote, expect=1
    )
    assert "sha-0123456 is immutable" in refused


def test_podman_logs_in_pushes_and_pulls(host: str, layout: Path, tmp_path: Path, short_directory: Path) -> None:
    podman = require("podman")
    storage = ("--root", tmp_path / "storage", "--runroot", short_directory, "--storage-driver", "vfs")
    auth = ("--tls-verify=false", "--authfile", tmp_path / "auth.json")
    remote = f"{host}/lab/app:canary"
    loaded = run(podman, *storage, "pull", "--quiet", f"oci:{layout}:latest").split()[-1]
    run(podman, *storage, "push", "--tls-verify=false", loaded, f"docker://{remote}", expect=1)
    run(podman, *storage, "login", *auth, "--username", "admin", "--password-stdin", host, stdin="wrong", expect=1)
    run(podman, *storage, "login", *auth, "--username", "admin", "--password-stdin", host, stdin="admin-secret")
    run(podman, *storage, "push", *auth, loaded, f"docker://{remote}")
    run(podman, *storage, "rmi", "--all", "--force")
    run(podman, *storage, "pull", *auth, remote)
    inspected = json.loads(run(podman, *storage, "image", "inspect", remote))
    assert inspected[0]["Config"]["Entrypoint"] == ["/app"]
