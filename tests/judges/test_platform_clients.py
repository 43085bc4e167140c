"""The running platform, used by foreign clients: what was pushed by git is inspected by skopeo and run by podman."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.platform import LivePlatform
from fakes.podman import limits, podman_command
from towpath.oci.tags import sha_tag

pytestmark = pytest.mark.judge


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePlatform]:
    """A platform that has built the scaffold's services and runs them in dev."""
    with LivePlatform(tmp_path_factory.mktemp("judged")) as running:
        running.scaffold()
        running.start()
        running.push()
        running.await_healthy("dev", "sensor", running.head())
        yield running


@pytest.fixture
def auth(platform: LivePlatform, tmp_path: Path) -> Path:
    """A docker configuration with the platform's own account, where skopeo and podman look for it."""
    host = platform.prefix.partition("/")[0]
    file = tmp_path / "auth.json"
    login = [
        "skopeo",
        "login",
        "--tls-verify=false",
        "--authfile",
        str(file),
        "--username",
        "towpath",
        "--password-stdin",
    ]
    subprocess.run([*login, host], input=platform.token, text=True, check=True, capture_output=True)
    return file


def said(*argv: str | Path) -> str:
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_skopeo_reads_the_labels_that_trace_an_image_to_its_commit(platform: LivePlatform, auth: Path) -> None:
    image = f"docker://{platform.prefix}/sensor:{sha_tag(platform.head())}"

    inspected = json.loads(said("skopeo", "inspect", "--tls-verify=false", "--authfile", auth, image))

    assert inspected["Labels"]["org.opencontainers.image.revision"] == platform.head()
    assert inspected["Labels"]["org.opencontainers.image.version"] == sha_tag(platform.head())
    assert "canary" in inspected["RepoTags"]


def test_the_channel_and_the_tag_are_one_digest(platform: LivePlatform, auth: Path) -> None:
    digests = {
        said("skopeo", "inspect", "--tls-verify=false", "--authfile", auth, "--format", "{{.Digest}}",
             f"docker://{platform.prefix}/sensor:{tag}").strip()
        for tag in ("canary", sha_tag(platform.head()))
    }  # fmt: skip

    assert digests == {platform.service_status("dev", "sensor")["digest"]}


def test_without_credentials_nothing_is_shown(platform: LivePlatform, tmp_path: Path) -> None:
    empty = tmp_path / "empty.json"
    empty.write_text("{}")
    argv = [
        "skopeo",
        "inspect",
        "--tls-verify=false",
        "--authfile",
        str(empty),
        f"docker://{platform.prefix}/sensor:canary",
    ]

    refused = subprocess.run(argv, capture_output=True, text=True, check=False)

    assert refused.returncode != 0
    assert "auth" in refused.stderr


def test_podman_runs_the_image_that_a_push_has_made(platform: LivePlatform, auth: Path) -> None:
    image = f"{platform.prefix}/sensor:{sha_tag(platform.head())}"
    program = "import os, pwd; print(pwd.getpwuid(os.getuid()).pw_name, os.environ['TOWPATH_VERSION'])"

    with podman_command() as podman:
        said(*podman, "pull", "--tls-verify=false", "--authfile", auth, image)
        run = ["run", "--rm", "--network", "none", *limits(), "--entrypoint", "python3", image, "-c", program]
        printed = said(*podman, *run)

    assert printed.split() == ["nonroot", sha_tag(platform.head())]
