"""The controller's own health and metrics over HTTP.

GET /healthz   alive
GET /readyz    has a schedule that makes sense and reaches the Kubernetes API; 503 otherwise
GET /metrics   what it did, for Prometheus
"""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

from controller import Controller

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
IDLE_SECONDS = 30


def create_server(address: tuple[str, int], controller: Controller) -> "ControllerServer":
    """A server that listens; run its `serve_forever`."""
    return ControllerServer(address, controller)


class ControllerServer(ThreadingHTTPServer):
    """One thread a connection."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], controller: Controller) -> None:
        self.controller = controller
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        # Not HTTPServer's, which asks DNS for our name and waits where there is no DNS.
        TCPServer.server_bind(self)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: ControllerServer
    protocol_version = "HTTP/1.1"
    server_version = "chaos-controller"
    sys_version = ""
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        state = self.server.controller.state
        if path == "/healthz":
            self._answer(200, _json({"status": "ok"}))
        elif path == "/readyz":
            ready = state.valid and state.reachable
            details = {"schedule_valid": state.valid, "fleet_reachable": state.reachable}
            self._answer(200 if ready else 503, _json(details))
        elif path == "/metrics":
            accept = self.headers.get("Accept", "")
            plain = "text/plain" in accept and "openmetrics" not in accept
            text = render(self.server.controller, openmetrics=not plain)
            self._answer(200, text.encode(), PROMETHEUS if plain else OPENMETRICS)
        else:
            self._answer(404, _json({"error": f"no {path[:100]}"}))

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the journal is the log."""

    def _answer(self, status: int, body: bytes, content_type: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def render(controller: Controller, *, openmetrics: bool) -> str:
    """The metrics as OpenMetrics, or as the older Prometheus text format."""
    state = controller.state
    gauges = {
        "chaos_schedule_valid": ("Whether the schedule makes sense.", int(state.valid)),
        "chaos_dry_run": ("Whether faults are only talked about.", int(state.dry_run)),
        "chaos_fleet_reachable": ("Whether the Kubernetes API answered last time.", int(state.reachable)),
        "chaos_targets": ("Running sensors that may be hit.", state.targets),
        "chaos_active_faults": ("Faults that were active at the last look.", state.active_faults),
    }
    lines = []
    for name, (help_text, value) in gauges.items():
        lines += [f"# HELP {name} {help_text}", f"# TYPE {name} gauge", f"{name} {value}"]
    family = "chaos_faults" if openmetrics else "chaos_faults_total"
    lines += [f"# HELP {family} Draws, by kind and by what became of them.", f"# TYPE {family} counter"]
    for (kind, outcome), count in sorted(controller.outcomes.copy().items()):
        lines.append(f'chaos_faults_total{{kind="{kind}",outcome="{outcome}"}} {count}')
    return "".join(f"{line}\n" for line in [*lines, *(["# EOF"] if openmetrics else [])])


def _json(document: Any) -> bytes:
    return json.dumps(document).encode() + b"\n"
