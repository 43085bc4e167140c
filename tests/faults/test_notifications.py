"""A registry that is killed between a push and its telling tells of it after the restart; nothing is told wrongly."""

import hashlib
import hmac
import json
import queue
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fakes.standalone_registry import PATIENCE_SECONDS, StandaloneRegistry, serve_alone

pytestmark = pytest.mark.faults

MEDIA = "application/vnd.oci.image.index.v1+json"
KILLS = 5


class Subscriber:
    """An outside listener that refuses everything until `open`; a thread of its own."""

    def __init__(self) -> None:
        self.is_open = False
        self.got: queue.Queue[tuple[str, bytes]] = queue.Queue()
        subscriber = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if subscriber.is_open:
                    subscriber.got.put((self.headers["X-Towpath-Signature"], body))
                self.send_response(204 if subscriber.is_open else 503)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def subscriber() -> Iterator[Subscriber]:
    made = Subscriber()
    yield made
    made.close()


def index(number: int) -> bytes:
    annotations = {"number": str(number)}
    return json.dumps({"schemaVersion": 2, "mediaType": MEDIA, "manifests": [], "annotations": annotations}).encode()


def push(registry: StandaloneRegistry, login: tuple[str, str], number: int) -> str:
    content = index(number)
    status, answer = registry.ask(
        "PUT", "/v2/lab/app/manifests/canary", body=content, login=login, headers={"Content-Type": MEDIA}
    )
    assert status == 201, answer
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_every_acknowledged_push_is_told_once_it_can_be_however_often_the_registry_is_killed(
    tmp_path: Path, subscriber: Subscriber
) -> None:
    root = tmp_path / "registry"
    pushed: list[str] = []
    secret = ""
    for number in range(KILLS):
        with serve_alone(root, "--notify", subscriber.url) as registry:
            secret = secret or registry.create_robot("ci")
            pushed.append(push(registry, ("ci", secret), number))
            registry.process.kill()
    subscriber.is_open = True
    told: list[tuple[int, str]] = []
    with serve_alone(root, "--notify", subscriber.url) as registry:
        key = (root / "notify.secret").read_bytes().strip()
        while [digest for _, digest in told] != pushed:
            signature, body = subscriber.got.get(timeout=PATIENCE_SECONDS)
            assert signature == "sha256=" + hmac.new(key, body, "sha256").hexdigest()
            (event,) = json.loads(body)["events"]
            assert event["actor"]["name"] == "ci"
            told.append((event["sequence"], event["target"]["digest"]))
        assert registry.stop() == 0
    assert [sequence for sequence, _ in told] == list(range(1, KILLS + 1))
    assert (root / "notify.secret").stat().st_mode & 0o777 == 0o600
