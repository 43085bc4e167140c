"""A platform that answers the command line from a table: a real HTTP server, and the files it is found by."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from towpath.server.credentialfile import load_or_create
from towpath.server.runfile import RunInfo
from towpath.server.running import remove_run_info, write_run_info


class CannedPlatform:
    """What it answers by path, and what it was asked.

    Attributes:
        root: the platform repository it pretends to run.
        answers: by `METHOD path` below `/api/v1`; a list is answered one after the other, its last for ever; a
            pair has its own status.
        asked: `METHOD path`, query and body of each request.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = root / ".towpath"
        self.state.mkdir(parents=True, mode=0o700)
        self.answers: dict[str, Any] = {}
        self.statuses: dict[str, int] = {}
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.token = load_or_create(self.state).admin_token

    def answer(self, path: str, document: Any, *, status: int = 200) -> None:
        """Answer a path with a document."""
        self.answers[path] = document
        self.statuses[path] = status

    def refuse(self, path: str, *, status: int, exit_code: int, message: str, hint: str = "") -> None:
        """Answer a path with an error."""
        self.answer(path, {"message": message, "hint": hint, "exit_code": exit_code}, status=status)

    def take(self, request: str, query: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Answer one request."""
        self.asked.append((request, query, json.loads(body) if body else None))
        found = self.answers[request]
        if isinstance(found, list):
            found = found.pop(0) if len(found) > 1 else found[0]
        if isinstance(found, tuple):  # its own status
            return found[0], json.dumps(found[1]).encode()
        return self.statuses[request], found if isinstance(found, bytes) else json.dumps(found).encode()


@contextmanager
def canned_platform(root: Path) -> Iterator[CannedPlatform]:
    """A platform that runs until the block ends."""
    platform = CannedPlatform(root)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply()

        def do_POST(self) -> None:
            self.reply()

        def reply(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            target = urlsplit(self.path)
            if self.headers["Authorization"] != f"Bearer {platform.token}":
                status, content = 401, b"{}"
            else:
                request = f"{self.command} {target.path.removeprefix('/api/v1')}"
                status, content = platform.take(request, dict(parse_qsl(target.query)), body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            del arguments

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        write_run_info(platform.state, RunInfo(os.getpid(), url, "https://127.0.0.1:1", "1"))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield platform
        finally:
            remove_run_info(platform.state)
            server.shutdown()
            thread.join()
