"""Who may not come in, and what is not taken: over real HTTP, against a running platform."""

import http.client
import json
import os
import sqlite3
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from fakes.platform import LivePlatform, basic
from towpath.source.events import PushEvent
from towpath.source.webhook import prepare_delivery

WRONG_INPUT, CONFLICT, CORRUPT = 2, 5, 7
REFS = "/git/lab.git/info/refs?service=git-upload-pack"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePlatform]:
    with LivePlatform(tmp_path_factory.mktemp("access")) as made:
        made.write_lab()
        made.start()
        made.git("push", "-q", "towpath", "HEAD:refs/heads/idea")  # something to read; nothing is built
        yield made


def kube_request(platform: LivePlatform, headers: Mapping[str, str]) -> tuple[int, bytes]:
    context = ssl.create_default_context(cafile=str(platform.state / "cluster" / "pki" / "ca.crt"))
    connection = http.client.HTTPSConnection("127.0.0.1", platform.kube_port, context=context, timeout=60)
    try:
        connection.request("GET", "/api/v1/secrets", headers=dict(headers))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def wrong_headers(platform: LivePlatform) -> dict[str, dict[str, str]]:
    token = platform.token
    return {
        "nothing": {},
        "a wrong bearer": {"Authorization": f"Bearer {token}x"},
        "a short bearer": {"Authorization": f"Bearer {token[:-1]}"},
        "an empty bearer": {"Authorization": "Bearer "},
        "a wrong password": {"Authorization": basic("towpath", "guess")},
        "no base64": {"Authorization": "Basic %%%"},
        "bytes": {"Authorization": "Bearer \xff\xfe"},
        "another scheme": {"Authorization": f'Digest username="towpath", response="{token}"'},
    }


@pytest.mark.parametrize(
    "path",
    [REFS, "/v2/", "/v2/lab/clock/tags/list", "/api/v1/status", "/api/v1/logs?service=clock", "/metrics"],
)
def test_no_door_opens_without_the_right_credentials(platform: LivePlatform, path: str) -> None:
    for name, headers in wrong_headers(platform).items():
        status, body = platform.request("GET", path, headers=headers)
        assert status == 401, f"{path} with {name}"
        assert platform.token.encode() not in body


def test_the_kubernetes_api_knows_its_own_tokens_only(platform: LivePlatform) -> None:
    for name, headers in wrong_headers(platform).items():
        status, body = kube_request(platform, headers)
        assert status == 401, name
        assert json.loads(body)["reason"] == "Unauthorized"
    assert kube_request(platform, {"Authorization": f"Bearer {platform.token}"})[0] == 200


def test_the_right_credentials_open_every_door(platform: LivePlatform) -> None:
    bearer, password = {"Authorization": f"Bearer {platform.token}"}, {"Authorization": basic("git", platform.token)}
    assert platform.request("GET", REFS, headers=password)[0] == 200
    assert (
        platform.request("GET", "/token?service=x", headers={"Authorization": basic("towpath", platform.token)})[0]
        == 200
    )
    assert platform.request("GET", "/api/v1/status", headers=bearer)[0] == 200
    assert platform.request("GET", "/metrics", headers=bearer)[0] == 200


def test_changes_are_refused_without_credentials_and_change_nothing(platform: LivePlatform) -> None:
    head = platform.hosted_head("idea")
    for path in ("/api/v1/promotions", "/api/v1/rollbacks", "/api/v1/holds"):
        assert platform.request("POST", path, body=b"{}")[0] == 401
    assert platform.request("POST", "/v2/lab/clock/blobs/uploads/")[0] == 401
    assert platform.request("PUT", "/v2/lab/clock/manifests/canary", body=b"{}")[0] == 401
    url = f"http://someone:guess@127.0.0.1:{platform.port}/git/lab.git"
    answer = platform.run("git", "-c", "credential.helper=", "push", url, "HEAD:refs/heads/evil", expect=128)
    assert "Authentication failed" in answer.err
    assert (platform.hosted_head("evil"), platform.hosted_head("idea")) == ("", head)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7070", "127.0.0.1.evil.example", "10.0.0.1", ""])
def test_a_page_that_rebinds_its_name_to_loopback_is_refused(platform: LivePlatform, host: str) -> None:
    headers = {"Host": host, "Authorization": f"Bearer {platform.token}"}
    for path in ("/api/v1/status", "/metrics", "/v2/", "/healthz"):
        status, body = platform.request("GET", path, headers=headers)
        assert status in {400, 421}, path
        assert b"lab" not in body
    assert kube_request(platform, headers)[0] in {400, 421}


def delivery(platform: LivePlatform, *, secret: str = "", after: str = "1" * 40) -> tuple[dict[str, str], bytes]:
    known = json.loads((platform.state / "credentials.json").read_text())["webhook_secret"]
    event = PushEvent("lab", "refs/heads/idea", "0" * 40, after, time.time())
    made = prepare_delivery(event, secret=secret or known, new_delivery_id=f"delivery of {after[:7]}")
    return dict(made.headers), made.body


def post(
    platform: LivePlatform, headers: Mapping[str, str], body: bytes, *, provider: str = "towpath"
) -> tuple[int, str]:
    status, answer = platform.request("POST", f"/webhooks/{provider}", body=body, headers=headers)
    document = json.loads(answer)
    return status, document.get("status") or document["error"]["reason"]


def test_a_webhook_is_taken_once(platform: LivePlatform) -> None:
    headers, body = delivery(platform)
    assert post(platform, headers, body) == (202, "accepted")
    assert post(platform, headers, body) == (200, "duplicate")
    assert post(platform, {**headers, "X-GitHub-Delivery": "another id"}, body) == (200, "duplicate"), (
        "the id is unsigned"
    )


def test_a_webhook_that_is_not_ours_is_refused(platform: LivePlatform) -> None:
    headers, body = delivery(platform, after="2" * 40)
    signed = "X-Hub-Signature-256"
    assert post(platform, {**headers, signed: headers[signed][:-1] + "x"}, body)[0] == 401
    assert post(platform, {name: value for name, value in headers.items() if name != signed}, body)[0] == 401
    assert post(platform, headers, body + b" ")[0] == 401
    assert post(platform, *delivery(platform, secret="another", after="2" * 40))[0] == 401
    assert post(platform, headers, body, provider="gitlub")[0] == 404
    assert post(platform, {**headers, "Content-Type": "text/plain"}, body)[0] == 415
    assert post(platform, headers, body) == (202, "accepted"), "none of these was remembered as seen"


def test_ten_megabytes_of_junk_are_cut_off_and_cost_nothing(platform: LivePlatform) -> None:
    junk = os.urandom(10 * 1024 * 1024)
    before = resident_bytes(platform.pid)
    for path in ("/webhooks/towpath", "/api/v1/promotions"):
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {platform.token}"}
        try:
            status, _ = platform.request("POST", path, body=junk, headers=headers)
        except ConnectionError:
            continue  # closed while we were still sending: refused as well
        assert status == 413, path
    assert resident_bytes(platform.pid) - before < 8 * 1024 * 1024
    assert platform.request("GET", "/healthz")[0] == 200


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("which", ["port", "kube_port"])
def test_a_port_in_use_is_named_and_nothing_is_left_running(platform: LivePlatform, tmp_path: Path, which: str) -> None:
    with LivePlatform(tmp_path) as second:
        second.write_lab()
        setattr(second, which, getattr(platform, which))
        second.launch()
        assert second.exit_code() == WRONG_INPUT
        second.await_no_process()
        assert f"another program holds port {getattr(platform, which)}" in second.log_tail()
        assert "next: " in second.log_tail()
        assert "Traceback" not in second.log_tail()
        assert not (second.state / "run.json").exists()
    assert platform.request("GET", "/healthz")[0] == 200


def test_one_directory_is_run_by_one_process(platform: LivePlatform) -> None:
    answer = platform.towpath("up", "--port", "0", "--kube-port", "0", expect=CONFLICT)
    assert "another process runs it" in answer.err
    assert platform.towpath("status").code == 0, "what tells the command line where the platform is has stayed"


def set_version(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version=99")
    database.close()


def age_credentials(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 99}))


def spoil(path: Path) -> None:
    path.write_bytes(b"\x00spoilt" * 1000)


@pytest.mark.parametrize(
    ("store", "change", "codes"),
    [
        ("credentials.json", age_credentials, {WRONG_INPUT}),
        ("credentials.json", spoil, {WRONG_INPUT}),
        ("cluster/store/objects.db", set_version, {CONFLICT}),
        ("cluster/store/objects.db", spoil, {CORRUPT}),
        ("registry/catalog.db", set_version, {WRONG_INPUT}),
        ("registry/catalog.db", spoil, {CORRUPT}),
    ],
)
def test_a_store_of_another_version_or_damaged_is_named_and_left_as_it_is(
    tmp_path: Path, store: str, change: Callable[[Path], None], codes: set[int]
) -> None:
    with LivePlatform(tmp_path) as platform:
        platform.write_lab()
        platform.start()
        platform.stop()
        path = platform.state / store
        for companion in (f"{path}-wal", f"{path}-shm"):
            Path(companion).unlink(missing_ok=True)
        good = path.read_bytes()
        change(path)
        changed = path.read_bytes()
        platform.launch()
        code = platform.exit_code()
        log = platform.log.read_text().rpartition("Ctrl-C")[2]
        assert code in codes, log
        assert path.name in log
        assert "next: " in log
        assert "Traceback" not in log
        assert path.read_bytes() == changed
        platform.await_no_process()
        path.write_bytes(good)
        platform.start()
