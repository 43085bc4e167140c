"""`towpath registry serve`: a registry as a process of its own, as its user has it."""

import hashlib
import http.client
import json
import os
import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from fakes.standalone_registry import PATIENCE_SECONDS, TOWPATH, StandaloneRegistry, serve_alone
from towpath.aio.clock import SystemClock
from towpath.http.certificates import ensure_certificates

# Clients here check certificates by the real time.
NOW = SystemClock().now()


def push_blob(registry: StandaloneRegistry, login: tuple[str, str], content: bytes, repository: str = "lab/app") -> str:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    path = f"/v2/{repository}/blobs/uploads/?digest={digest}"
    status, answer = registry.ask("POST", path, body=content, login=login)
    assert status == 201, answer
    return digest


def get_token(registry: StandaloneRegistry, login: tuple[str, str], scope: str) -> str:
    _, answer = registry.ask("GET", f"/token?scope={scope}", login=login)
    return str(json.loads(answer)["token"])


def begin_upload(registry: StandaloneRegistry, token: str, digest: str, size: int) -> http.client.HTTPConnection:
    """A connection whose request the registry has begun to work on; its body is to be sent."""
    connection = http.client.HTTPConnection(registry.host, timeout=PATIENCE_SECONDS)
    connection.putrequest("POST", f"/v2/lab/app/blobs/uploads/?digest={digest}")
    connection.putheader("Authorization", f"Bearer {token}")
    connection.putheader("Content-Length", str(size))
    connection.putheader("Expect", "100-continue")
    connection.endheaders()
    connection.sock.recv(1024)  # `100 Continue`: the endpoint has begun to read
    return connection


def test_nobody_may_do_anything_until_a_robot_is_made_and_then_that_one_may(tmp_path: Path) -> None:
    with serve_alone(tmp_path / "registry") as registry:
        assert registry.ask("GET", "/v2/")[0] == 401
        assert registry.ask("GET", "/healthz")[0] == 200
        secret = registry.create_robot("ci", "lab/*")
        digest = push_blob(registry, ("ci", secret), b"layer")
        assert registry.ask("GET", f"/v2/lab/app/blobs/{digest}", login=("ci", secret)) == (200, b"layer")
        assert registry.ask("GET", f"/v2/other/app/blobs/{digest}", login=("ci", secret))[0] == 403


def test_a_quota_is_kept_and_a_wrong_one_is_refused_at_the_start(tmp_path: Path) -> None:
    with serve_alone(tmp_path / "registry", "--quota", "1KiB", "--collect-daily") as registry:
        secret = registry.create_robot("ci", "lab/*")
        push_blob(registry, ("ci", secret), b"small")
        content = b"x" * 2000
        path = f"/v2/lab/app/blobs/uploads/?digest=sha256:{hashlib.sha256(content).hexdigest()}"
        status, answer = registry.ask("POST", path, body=content, login=("ci", secret))
        assert (status, b"the quota total is 1.0 KiB" in answer) == (403, True)
        assert b"larger --quota" in answer
        assert b"towpath registry collect" not in answer, "which wants a platform, or this registry at rest"
    argv = [str(TOWPATH), "registry", "serve", "--root", str(tmp_path / "other"), "--quota", "much"]
    refused = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (refused.returncode, "a size with a unit" in refused.stderr) == (2, True)


def test_a_revoked_robot_is_out_at_the_next_request_with_its_tokens(tmp_path: Path) -> None:
    with serve_alone(tmp_path / "registry") as registry:
        secret = registry.create_robot("ci", "lab/*")
        token = get_token(registry, ("ci", secret), "repository:lab/app:pull,push")
        headers = {"Authorization": f"Bearer {token}"}
        assert registry.ask("GET", "/v2/lab/app/tags/list", headers=headers)[0] == 404
        registry.robot("revoke", "ci")
        assert registry.ask("GET", "/v2/lab/app/tags/list", headers=headers)[0] == 401
        assert registry.ask("GET", "/v2/", login=("ci", secret))[0] == 401


def test_a_restart_keeps_images_robots_and_logins(tmp_path: Path) -> None:
    root = tmp_path / "registry"
    with serve_alone(root) as registry:
        secret = registry.create_robot("ci")
        digest = push_blob(registry, ("ci", secret), b"layer")
        token = get_token(registry, ("ci", secret), "repository:lab/app:pull")
        assert registry.stop() == 0
    with serve_alone(root) as registry:
        headers = {"Authorization": f"Bearer {token}"}
        assert registry.ask("GET", f"/v2/lab/app/blobs/{digest}", headers=headers) == (200, b"layer")
    for name in ("robots.json", "token.key"):
        assert (root / name).stat().st_mode & 0o777 == 0o600


def test_a_stop_lets_an_upload_under_way_end(tmp_path: Path) -> None:
    content = b"x" * 100_000
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    with serve_alone(tmp_path / "registry") as registry:
        secret = registry.create_robot("ci")
        token = get_token(registry, ("ci", secret), "repository:lab/app:pull,push")
        connection = begin_upload(registry, token, digest, len(content))
        connection.send(content[:50_000])
        ended: list[int] = []
        stopping = threading.Thread(target=lambda: ended.append(registry.stop()))
        stopping.start()
        connection.send(content[50_000:])
        assert connection.getresponse().status == 201
        connection.close()
        stopping.join()
        assert ended == [0]


def test_tokens_outlive_the_secrets_check_of_a_slow_upload(tmp_path: Path) -> None:
    """A request that has begun goes on though its robot is revoked meanwhile: rights are looked at when it begins."""
    content = b"x" * 100_000
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    with serve_alone(tmp_path / "registry") as registry:
        secret = registry.create_robot("ci")
        token = get_token(registry, ("ci", secret), "repository:lab/app:pull,push")
        connection = begin_upload(registry, token, digest, len(content))
        registry.robot("revoke", "ci")
        connection.send(content)
        assert connection.getresponse().status == 201
        connection.close()


def test_metrics_are_for_robots(tmp_path: Path) -> None:
    with serve_alone(tmp_path / "registry") as registry:
        secret = registry.create_robot("ci")
        push_blob(registry, ("ci", secret), b"layer")
        assert registry.ask("GET", "/metrics")[0] == 401
        assert registry.ask("GET", "/metrics", login=("ci", "wrong"))[0] == 401
        status, text = registry.ask("GET", "/metrics", login=("ci", secret))
    assert status == 200
    lines = text.decode().splitlines()
    assert "towpath_registry_blobs 1" in lines
    assert "towpath_registry_received_bytes_total 5" in lines
    assert 'towpath_registry_requests_total{method="POST",route="uploads",status="201"} 1' in lines


def test_the_access_log_has_a_line_for_every_request_and_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    with serve_alone(tmp_path / "registry", "--access-log", str(path)) as registry:
        secret = registry.create_robot("ci")
        digest = push_blob(registry, ("ci", secret), b"layer")
        token = get_token(registry, ("ci", secret), "repository:lab/app:pull")
        registry.ask("GET", f"/v2/lab/app/blobs/{digest}", headers={"Authorization": f"Bearer {token}"})
        registry.ask("GET", "/v2/", login=("ci", "wrong-secret"))
        registry.stop()
    text = path.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(line["method"], line["status"], line["caller"]) for line in lines] == [
        ("POST", 201, "ci"),
        ("GET", 200, "ci"),
        ("GET", 200, "ci"),
        ("GET", 401, "ci"),
    ]
    for hidden in (secret, token, "wrong-secret"):
        assert hidden not in text


def test_the_access_log_may_go_to_standard_error(tmp_path: Path) -> None:
    with serve_alone(tmp_path / "registry", "--access-log", "-") as registry:
        registry.ask("GET", "/v2/")
        registry.stop()
    assert [json.loads(line)["status"] for line in registry.said] == [401]


def test_what_is_opened_may_be_pulled_by_everybody(tmp_path: Path) -> None:
    with serve_alone(tmp_path / "registry", "--anonymous-pull", "open/*") as registry:
        secret = registry.create_robot("ci")
        digest = push_blob(registry, ("ci", secret), b"layer", "open/app")
        assert registry.ask("GET", f"/v2/open/app/blobs/{digest}") == (200, b"layer")
        assert registry.ask("GET", "/v2/lab/app/tags/list")[0] == 401


def test_it_speaks_tls_with_a_given_certificate(tmp_path: Path) -> None:
    files = ensure_certificates(tmp_path / "tls", names=["127.0.0.1"], now=NOW)
    options = ("--tls-cert", str(files.certificate), "--tls-key", str(files.key))
    with serve_alone(tmp_path / "registry", *options) as registry:
        assert registry.url.startswith("https://")
        assert registry.ask("GET", "/v2/", trust=files.authority)[0] == 401


def test_it_makes_a_certificate_and_says_what_to_trust(tmp_path: Path) -> None:
    root = tmp_path / "registry"
    authority = root / "tls" / "ca.crt"
    with serve_alone(root, "--tls", "--tls-name", "registry.lan") as registry:
        port = registry.host.rpartition(":")[2]
        assert registry.url == f"https://127.0.0.1:{port}"
        trust, podman = (registry.process.stdout.readline() for _ in range(2))  # type: ignore[union-attr]
        assert trust.split() == ["trust", "clients", "need", str(authority)]
        assert f"/etc/containers/certs.d/registry.lan:{port} && cp {authority} " in podman
        assert registry.ask("GET", "/healthz", trust=authority)[0] == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            registry.ask("GET", "/healthz")
        with pytest.raises((http.client.HTTPException, OSError)):
            StandaloneRegistry(root, registry.process, f"http://{registry.host}").ask("GET", "/healthz")
        first = authority.read_bytes()
    with serve_alone(root, "--tls") as registry:
        assert registry.ask("GET", "/healthz", trust=authority)[0] == 200
    assert authority.read_bytes() == first
    for name in ("tls/ca.key", "tls/server.key"):
        assert (root / name).stat().st_mode & 0o777 == 0o600


def test_two_processes_do_not_share_a_directory(tmp_path: Path) -> None:
    with serve_alone(tmp_path / "registry"):
        argv = [TOWPATH, "registry", "serve", "--root", str(tmp_path / "registry"), "--port", "0"]
        second = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert (second.returncode, "InUse" in second.stderr) == (2, True)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--host", "0.0.0.0"), "ClearText"),  # noqa: S104 - refused
        (("--tls-cert", "/nowhere"), "--tls-key is missing"),
        (("--tls-cert", "/nowhere", "--tls-key", "/nowhere"), "BadCertificate"),
        (("--tls-name", "registry.lan"), "add --tls"),
        (("--tls", "--tls-name", "registry.lan:5000"), "no port"),
        (("--access-log", "/nowhere/access.log"), "access log"),
        (("--port", "99999"), "99999"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(tmp_path: Path, options: tuple[str, ...], reason: str) -> None:
    argv = [TOWPATH, "registry", "serve", "--root", str(tmp_path / "registry"), "--port", "0", *options]
    refused = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert refused.returncode == 2
    assert reason in refused.stderr
    assert "Traceback" not in refused.stderr


def test_it_does_not_load_a_platform() -> None:
    program = (
        "import sys, towpath.server.standalone\n"
        "print([name for name in sys.modules if name.startswith(('towpath.cluster', 'towpath.reconcile', "
        "'towpath.build', 'towpath.server.platform', 'prometheus_client', 'httpx', 'cryptography'))])"
    )
    python = Path(TOWPATH).parent / "python"
    said = subprocess.run([python, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_nobody_else_reads_what_a_registry_writes_into_a_directory_that_all_may_enter(tmp_path: Path) -> None:
    root = tmp_path / "registry"
    root.mkdir(mode=0o755)
    root.chmod(0o755)
    before = os.umask(0o022)
    try:
        with serve_alone(root, "--notify", "http://127.0.0.1:9/") as registry:
            push_blob(registry, ("ci", registry.create_robot("ci")), b"layer")
            modes = {path.name: path.stat().st_mode & 0o777 for path in root.rglob("*") if path.is_file()}
    finally:
        os.umask(before)
    assert {"catalog.db", "catalog.db-wal", "outbox.db", "outbox.db-wal", "robots.json"} <= set(modes)
    del modes["reserve"]  # zeros
    assert {name: mode for name, mode in modes.items() if mode & 0o077} == {}


def test_what_it_holds_is_looked_at_and_collected_while_it_does_not_run(tmp_path: Path) -> None:
    root = tmp_path / "registry"

    def ask(*arguments: str) -> "subprocess.CompletedProcess[str]":
        argv = [str(TOWPATH), "registry", *arguments, "--root", str(root)]
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS)

    nowhere = ask("usage")
    assert (nowhere.returncode, "is no registry (NotFound)" in nowhere.stderr) == (4, True)
    with serve_alone(root) as registry:
        push_blob(registry, ("ci", registry.create_robot("ci")), b"layer")
        running = ask("collect")
        assert (running.returncode, "is running (InUse)" in running.stderr) == (5, True)
        registry.stop()
    assert "lab/app" in ask("usage").stdout
    assert "1 blobs of no manifest stay" in ask("collect").stdout
    assert ask("collect", "--apply").stdout.splitlines()[-1].startswith("removed 0 manifests")
    assert "read 1 blobs, 5 B; 0 damaged" in ask("scrub").stdout
    assert json.loads(ask("scrub", "--last", "-o", "json").stdout)["checked"] == 1
    assert ask("collect", "--accept-unseen").returncode == 2
