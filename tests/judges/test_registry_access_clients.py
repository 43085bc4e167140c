"""Accounts, TLS, numbers and notifications of the registry as skopeo, podman and promtool see them."""

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.foreign import require, run, tar_of
from fakes.layout import write_layout
from fakes.platform import LivePlatform, is_healthy
from fakes.standalone_registry import StandaloneRegistry, serve_alone
from fakes.tls_proxy import end_tls
from towpath.aio.clock import SystemClock
from towpath.http.certificates import Certificates, ensure_certificates

# Clients here check certificates by the real time.
NOW = SystemClock().now()
pytestmark = pytest.mark.judge


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    write_layout(tmp_path / "layout", tar_of(b"small"), tar_of(os.urandom(2_000_000)))
    return tmp_path / "layout"


@pytest.fixture
def files(tmp_path: Path) -> Certificates:
    """A certificate, and beside it the directory in which containers' tools look for its authority."""
    made = ensure_certificates(tmp_path / "tls", names=["127.0.0.1"], now=NOW)
    (tmp_path / "certs.d").mkdir()
    (tmp_path / "certs.d" / "ca.crt").write_bytes(made.authority_bytes())
    return made


@pytest.fixture
def registry(tmp_path: Path, files: Certificates) -> Iterator[StandaloneRegistry]:
    options = ("--tls-cert", str(files.certificate), "--tls-key", str(files.key))
    with serve_alone(tmp_path / "registry", *options) as running:
        yield running


def test_skopeo_pushes_and_pulls_over_tls_as_robots_may(
    registry: StandaloneRegistry, layout: Path, tmp_path: Path
) -> None:
    skopeo, certificates = require("skopeo"), tmp_path / "certs.d"
    pusher = f"ci:{registry.create_robot('ci', 'lab/*')}"
    reader = f"reader:{registry.create_robot('reader', 'lab/app', allow='pull')}"
    remote = f"docker://{registry.host}/lab/app:v1"
    source = f"oci:{layout}:latest"
    run(skopeo, "copy", "--dest-cert-dir", certificates, "--dest-creds", pusher, source, remote)
    run(skopeo, "copy", "--src-cert-dir", certificates, "--src-creds", reader, remote, f"dir:{tmp_path}/back")
    run(skopeo, "copy", "--dest-creds", pusher, source, remote, expect=1)  # it is not told whom to trust
    refused = run(skopeo, "copy", "--dest-cert-dir", certificates, "--dest-creds", reader, source, remote, expect=1)
    assert "denied" in refused or "unauthorized" in refused
    other = f"docker://{registry.host}/lab/other:v1"
    run(skopeo, "inspect", "--cert-dir", certificates, "--creds", reader, other, expect=1)
    registry.robot("revoke", "ci")
    gone = run(skopeo, "copy", "--dest-cert-dir", certificates, "--dest-creds", pusher, source, remote, expect=1)
    assert "invalid username/password" in gone


def test_skopeo_trusts_the_authority_that_a_registry_makes(layout: Path, tmp_path: Path) -> None:
    skopeo, certificates = require("skopeo"), tmp_path / "certs.d"
    certificates.mkdir()
    for _ in range(2):  # the second time as after a restart, with the same authority
        with serve_alone(tmp_path / "registry", "--tls") as registry:
            if not (certificates / "ca.crt").exists():
                (certificates / "ca.crt").write_bytes((tmp_path / "registry" / "tls" / "ca.crt").read_bytes())
                pusher = f"ci:{registry.create_robot('ci', 'lab/*')}"
            remote = f"docker://{registry.host}/lab/app:v1"
            source = f"oci:{layout}:latest"
            run(skopeo, "copy", "--dest-cert-dir", certificates, "--dest-creds", pusher, source, remote)
            run(skopeo, "inspect", "--cert-dir", certificates, "--creds", pusher, remote)
            run(skopeo, "inspect", "--creds", pusher, remote, expect=1)  # it is not told whom to trust


def test_podman_pulls_with_the_login_that_is_printed(
    registry: StandaloneRegistry, layout: Path, tmp_path: Path
) -> None:
    skopeo, podman, certificates = require("skopeo"), require("podman"), tmp_path / "certs.d"
    pusher = f"ci:{registry.create_robot('ci', 'lab/*')}"
    remote = f"{registry.host}/lab/app:v1"
    run(
        skopeo,
        "copy",
        "--dest-cert-dir",
        certificates,
        "--dest-creds",
        pusher,
        f"oci:{layout}:latest",
        f"docker://{remote}",
    )
    printed = registry.robot("rotate", "ci", "--format", "docker-config", "--registry", registry.host)
    (tmp_path / "auth.json").write_text(printed)
    with_login = ("--cert-dir", certificates, "--authfile", tmp_path / "auth.json")
    storage = ("--root", tmp_path / "storage", "--storage-driver", "vfs")
    run(podman, *storage, "pull", "--quiet", *with_login, remote)


def test_a_podman_may_pull_what_is_open_without_a_login(layout: Path, tmp_path: Path) -> None:
    skopeo = require("skopeo")
    with serve_alone(tmp_path / "registry", "--anonymous-pull", "open/*") as registry:
        pusher = f"ci:{registry.create_robot('ci', '*')}"
        for name in ("open/app", "lab/app"):
            remote = f"docker://{registry.host}/{name}:v1"
            run(skopeo, "copy", "--dest-tls-verify=false", "--dest-creds", pusher, f"oci:{layout}:latest", remote)
        inspect = (skopeo, "inspect", "--tls-verify=false", "--no-creds")
        assert json.loads(run(*inspect, f"docker://{registry.host}/open/app:v1"))["Architecture"] == "amd64"
        run(*inspect, f"docker://{registry.host}/lab/app:v1", expect=1)


def test_podman_search_asks_for_the_list_and_gets_what_its_login_may_pull(layout: Path, tmp_path: Path) -> None:
    podman, skopeo = require("podman"), require("skopeo")
    with serve_alone(tmp_path / "registry", "--access-log", str(tmp_path / "access.log")) as registry:
        pusher = f"ci:{registry.create_robot('ci', '*')}"
        for name in ("lab/app", "secret/app"):
            remote = f"docker://{registry.host}/{name}:v1"
            run(skopeo, "copy", "--dest-tls-verify=false", "--dest-creds", pusher, f"oci:{layout}:latest", remote)
        registry.create_robot("reader", "lab/*", allow="pull")
        login = registry.robot("rotate", "reader", "--format", "docker-config", "--registry", registry.host)
        (tmp_path / "auth.json").write_text(login)
        storage = ("--root", tmp_path / "storage", "--storage-driver", "vfs")
        options = ("--tls-verify=false", "--authfile", tmp_path / "auth.json", "--format", "{{.Name}}")
        found = run(podman, *storage, "search", *options, f"{registry.host}/app")
        registry.stop()
    assert found.splitlines()[-1].endswith("/lab/app")
    assert "secret/app" not in found
    lines = map(json.loads, (tmp_path / "access.log").read_text().splitlines())
    assert 200 in [line["status"] for line in lines if line["path"] == "/v2/_catalog"]


def test_promtool_finds_nothing_wrong_with_the_registrys_numbers(
    registry: StandaloneRegistry, layout: Path, tmp_path: Path, files: Certificates
) -> None:
    promtool, skopeo = require("promtool", package="prometheus"), require("skopeo")
    secret = registry.create_robot("ci")
    for name in ("lab/one", "lab/two"):
        remote = f"docker://{registry.host}/{name}:v1"
        creds = ("--dest-creds", f"ci:{secret}")
        run(skopeo, "copy", "--dest-cert-dir", tmp_path / "certs.d", *creds, f"oci:{layout}:latest", remote)
    registry.ask("GET", "/v2/", login=("ci", "wrong"), trust=files.authority)
    for accept in ("*/*", "application/openmetrics-text"):
        status, text = registry.ask(
            "GET", "/metrics", login=("ci", secret), headers={"Accept": accept}, trust=files.authority
        )
        assert status == 200
        assert b"towpath_registry_refusals_total{reason=" in text
        if accept == "*/*":
            checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
            assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def test_a_channel_that_skopeo_moves_moves_the_environment_that_follows_it(tmp_path: Path) -> None:
    """An outside CI pushes to `canary`; nobody pushes to Git, and the timer is far away."""
    skopeo = require("skopeo")
    with LivePlatform(tmp_path) as platform:
        platform.write_lab()
        platform.start()
        platform.push()
        first = platform.head()
        platform.await_healthy("dev", "clock", first)
        login = f"towpath:{platform.token}"
        tls = ("--src-tls-verify=false", "--dest-tls-verify=false")
        creds = ("--src-creds", login, "--dest-creds", login)
        # The version before comes back by its own tag: other content, pushed from outside.
        second = platform.change({"services/clock/extra.txt": "a change"}, "A second version")
        platform.await_healthy("dev", "clock", second)
        source = f"docker://{platform.prefix}/clock:sha-{first[:7]}"
        before = len(triggered_by_channel(platform))
        run(skopeo, "copy", "--preserve-digests", *tls, *creds, source, f"docker://{platform.prefix}/clock:canary")
        platform.await_service("dev", "clock", is_healthy(first), "moved back")
        assert len(triggered_by_channel(platform)) > before


def triggered_by_channel(platform: LivePlatform) -> list[str]:
    """The reconciliations of `dev` that a moved channel asked for, and no push to Git or timer."""
    events = platform.api("/events", environment="dev", limit=1000)["events"]
    return [event["message"] for event in events if "trigger: channel" in event["message"]]


async def test_behind_a_proxy_that_ends_tls_skopeo_gets_its_tokens_there_and_says_nothing_in_clear_text(
    tmp_path: Path, layout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    skopeo, name = require("skopeo"), "reg.example.com"
    files = ensure_certificates(tmp_path / "tls", names=[name], now=NOW)
    certificates = tmp_path / "certs.d"
    certificates.mkdir()
    (certificates / "ca.crt").write_bytes(files.authority_bytes())
    with serve_alone(tmp_path / "registry", "--advertise", name) as registry:
        login = f"ci:{registry.create_robot('ci', 'lab/*')}"
        async with end_tls(files.certificate, files.key, target=registry.host) as proxy:
            for variable, value in proxy.environment.items():
                monkeypatch.setenv(variable, value)
            source, remote = f"oci:{layout}:latest", f"docker://{name}/lab/app:v1"
            options = ("--dest-cert-dir", certificates, "--dest-creds", login)
            await asyncio.to_thread(run, skopeo, "copy", *options, source, remote)
        assert set(proxy.connected) == {f"{name}:443"}
        assert proxy.clear_text == []
        assert registry.ask("GET", "/v2/lab/app/tags/list", headers={"Host": "other.example"})[0] == 421
