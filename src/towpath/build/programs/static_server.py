"""Serves the files of a directory over HTTP/1.1: what a static service on the base `host` runs.

    python3 static_server.py DIRECTORY PORT

Every file is found at the start, and only those are served: no request's path ever touches the file system. Content is
told apart by its hash (ETag), for files in an image have no time of their own; browsers ask each time and get 304.
`index.html` stands for its directory, `404.html` is shown for what is not there, and the variable STATIC_FALLBACK names
the page of a single-page application that is shown instead. SIGTERM ends it at once; clients ask again elsewhere.
"""

import hashlib
import mimetypes
import os
import re
import shutil
import signal
import sys
import urllib.parse
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

IDLE_SECONDS = 30
RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class Site:
    """The files, by the path of their address."""

    def __init__(self, root: str, fallback: str = "") -> None:
        self.fallback = f"/{fallback.lstrip('/')}" if fallback else ""
        self.files: dict[str, Path] = {}
        self.directories = {"/"}
        self._tags: dict[str, str] = {}
        for path in Path(root).rglob("*"):
            if path.is_file():
                address = f"/{path.relative_to(root).as_posix()}"
                self.files[address] = path
                self.directories.add(address[: address.rindex("/") + 1])

    def find(self, path: str) -> tuple[HTTPStatus, str]:
        """Status and address of a file for a request's path; the address is empty where there is nothing to show."""
        if path in self.files:
            return HTTPStatus.OK, path
        if path in self.directories and f"{path}index.html" in self.files:
            return HTTPStatus.OK, f"{path}index.html"
        if f"{path}/index.html" in self.files:
            return HTTPStatus.MOVED_PERMANENTLY, f"{path}/"
        if self.fallback in self.files:
            return HTTPStatus.OK, self.fallback
        return HTTPStatus.NOT_FOUND, "/404.html" if "/404.html" in self.files else ""

    def tag(self, address: str) -> str:
        """The entity tag of a file; its content is hashed once."""
        if address not in self._tags:
            with self.files[address].open("rb") as file:
                self._tags[address] = f'"{hashlib.file_digest(file, "sha256").hexdigest()[:32]}"'
        return self._tags[address]


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "towpath-static"
    sys_version = ""
    timeout = IDLE_SECONDS
    site: Site

    def do_GET(self) -> None:
        """Answer with the content."""
        self.answer(body=True)

    def do_HEAD(self) -> None:
        """Answer without it."""
        self.answer(body=False)

    def answer(self, *, body: bool) -> None:
        """Find what is asked for, and send it."""
        status, address = self.site.find(urllib.parse.unquote(urllib.parse.urlsplit(self.path).path))
        if status == HTTPStatus.MOVED_PERMANENTLY:
            self.send_empty(status, {"Location": urllib.parse.quote(address)})
        elif not address:
            self.send_empty(status, {})
        elif status == HTTPStatus.OK and self.is_known(self.site.tag(address)):
            self.send_empty(
                HTTPStatus.NOT_MODIFIED, {"ETag": self.site.tag(address), "Cache-Control": "no-cache"}, length=False
            )
        else:
            self.send_file(status, address, body=body)

    def is_known(self, tag: str) -> bool:
        """Whether the client has this content already."""
        known = self.headers.get("If-None-Match", "")
        return known == "*" or tag in known

    def send_file(self, status: HTTPStatus, address: str, *, body: bool) -> None:
        """Send a file, or the range of it that is asked for."""
        path, tag = self.site.files[address], self.site.tag(address)
        size = path.stat().st_size
        start, end = self.wanted_range(tag, size) if status == HTTPStatus.OK else (0, size)
        if start >= end and size:
            self.send_empty(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, {"Content-Range": f"bytes */{size}"})
            return
        whole = (start, end) == (0, size)
        self.send_response(status if whole else HTTPStatus.PARTIAL_CONTENT)
        kind = mimetypes.guess_type(address)[0] or "application/octet-stream"
        self.send_header("Content-Type", f"{kind}; charset=utf-8" if kind.startswith("text/") else kind)
        self.send_header("Content-Length", str(end - start))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", tag)
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        if not whole:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        self.end_headers()
        if body:
            with path.open("rb") as file:
                file.seek(start)
                if whole:
                    shutil.copyfileobj(file, self.wfile)
                else:
                    self.wfile.write(file.read(end - start))

    def wanted_range(self, tag: str, size: int) -> tuple[int, int]:
        """First byte and the one behind the last, of a single range; of the whole file when no range is asked for."""
        match = RANGE.fullmatch(self.headers.get("Range", ""))
        if match is None or not any(match.groups()) or self.headers.get("If-Range", tag) != tag:
            return 0, size
        first, last = match.groups()
        if not first:
            return (max(size - int(last), 0), size) if int(last) else (size, size)
        return int(first), min(int(last) + 1, size) if last else size

    def send_empty(self, status: HTTPStatus, headers: dict[str, str], *, length: bool = True) -> None:
        """Answer without content."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if length:
            self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name for it
        """One line a request, on standard output."""
        print(f"{self.address_string()} {format % args}", flush=True)


class Server(ThreadingHTTPServer):
    """One thread a connection."""

    request_queue_size = 128
    daemon_threads = True


def main(directory: str, port: str) -> None:
    """Serve until told to stop."""
    Handler.site = Site(directory, os.environ.get("STATIC_FALLBACK", ""))
    server = Server(("", int(port)), Handler)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print(f"serving {len(Handler.site.files)} files on port {server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
