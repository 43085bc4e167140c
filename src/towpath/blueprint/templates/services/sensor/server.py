"""The sensor over HTTP.

GET    /readings        the reading of this moment, as JSON
GET    /metrics         the same and more, for Prometheus
GET    /healthz         alive
GET    /readyz          ready to serve; 503 during a strong brownout
GET    /version         the build that answers
GET    /faults          active faults
POST   /faults          switch one on: {"kind": "spike", "intensity": 0.5, "duration_seconds": 30}
DELETE /faults[/kind]   switch all, or one, off
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

import metrics
from faults import KINDS, Fault, FaultError
from sensor import Sensor

LARGEST_BODY_BYTES = 4096
IDLE_SECONDS = 30


@dataclass(frozen=True)
class Answer:
    """An answer before it is written."""

    status: HTTPStatus
    body: bytes
    content_type: str = "application/json"

    @classmethod
    def json(cls, document: Any, status: HTTPStatus = HTTPStatus.OK) -> "Answer":
        return cls(status, json.dumps(document).encode() + b"\n")


def create_server(address: tuple[str, int], sensor: Sensor) -> "SensorServer":
    """A server that listens; run its `serve_forever`."""
    return SensorServer(address, sensor)


class SensorServer(ThreadingHTTPServer):
    """One thread a connection."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], sensor: Sensor) -> None:
        self.sensor = sensor
        self.requests: Counter[tuple[str, int]] = Counter()
        self.requests_lock = threading.Lock()
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        # Not HTTPServer's, which asks DNS for our name and waits where there is no DNS.
        TCPServer.server_bind(self)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: SensorServer
    protocol_version = "HTTP/1.1"
    server_version = "sensor"
    sys_version = ""
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        routes: dict[str, Callable[[], Answer]] = {
            "/readings": self._readings,
            "/metrics": self._metrics,
            "/healthz": lambda: Answer.json({"status": "ok"}),
            "/readyz": self._ready,
            "/version": self._version,
            "/faults": lambda: Answer.json({"faults": self.server.sensor.faults.describe()}),
        }
        self._answer(routes.get(self._path()))

    def do_POST(self) -> None:
        self._answer(self._start_fault if self._path() == "/faults" else None)

    def do_DELETE(self) -> None:
        path = self._path()
        known = path == "/faults" or path.removeprefix("/faults/") in KINDS
        self._answer(self._clear_faults if known else None)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: probes come every second, and the requests are counted in the metrics."""

    # --- answers

    def _readings(self) -> Answer:
        late, fails = self.server.sensor.trouble()
        time.sleep(late)
        if fails:
            return Answer.json({"error": "the sensor is browned out"}, HTTPStatus.SERVICE_UNAVAILABLE)
        sample = self.server.sensor.sample()
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(sample.moment))
        return Answer.json(
            {
                "sensor": self.server.sensor.settings.name,
                "sequence": sample.sequence,
                "at": moment,
                "signal": sample.reading is not None,
                "reading": asdict(sample.reading) if sample.reading is not None else None,
            }
        )

    def _metrics(self) -> Answer:
        kind = metrics.content_type(self.headers.get("Accept", ""))
        with self.server.requests_lock:
            requests = dict(self.server.requests)
        sensor = self.server.sensor
        text = metrics.render(sensor, sensor.sample(), requests, openmetrics=kind == metrics.OPENMETRICS)
        return Answer(HTTPStatus.OK, text.encode(), kind)

    def _ready(self) -> Answer:
        _, fails = self.server.sensor.trouble(probe=True)
        if fails:
            return Answer.json({"status": "browned out"}, HTTPStatus.SERVICE_UNAVAILABLE)
        return Answer.json({"status": "ok"})

    def _version(self) -> Answer:
        settings = self.server.sensor.settings
        return Answer.json({"version": settings.version, "commit": settings.commit})

    def _start_fault(self) -> Answer:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > LARGEST_BODY_BYTES:
            self.close_connection = True  # the body is not read
            message = f"expected a body with a length of at most {LARGEST_BODY_BYTES} bytes"
            return Answer.json({"error": message}, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        try:
            fault = Fault.parse(json.loads(self.rfile.read(int(length))))
        except (FaultError, ValueError, RecursionError) as error:
            return Answer.json({"error": str(error)}, HTTPStatus.BAD_REQUEST)
        self.server.sensor.faults.start(fault)
        print(json.dumps({"event": "fault started", **asdict(fault)}), flush=True)
        return Answer.json(asdict(fault), HTTPStatus.CREATED)

    def _clear_faults(self) -> Answer:
        cleared = self.server.sensor.faults.clear(self._path().removeprefix("/faults").strip("/"))
        return Answer.json({"cleared": cleared})

    # --- plumbing

    def _path(self) -> str:
        return self.path.partition("?")[0]

    def _answer(self, route: Callable[[], Answer] | None) -> None:
        if route is None:
            self.close_connection = True  # a body may follow that nobody reads
            answer = Answer.json({"error": f"no {self.command} {self._path()[:100]}"}, HTTPStatus.NOT_FOUND)
        else:
            answer = route()
        with self.server.requests_lock:
            self.server.requests[self._path() if route else "other", answer.status.value] += 1
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer.body)
