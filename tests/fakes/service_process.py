"""A service of the scaffold as the process it is: started, listened to, asked over HTTP, and ended."""

import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Service:
    """A running service: its process, its lines, and its HTTP interface."""

    def __init__(self, directory: Path, environment: dict[str, str], *, address: str, port: int) -> None:
        self.url = f"http://{address}:{port}"
        env = {"PATH": os.environ["PATH"], "PORT": str(port), "BIND_ADDRESS": address, **environment}
        self.process = subprocess.Popen(
            [sys.executable, "-B", "main.py"],
            cwd=directory,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout or []:
            self.lines.put(line.rstrip("\n"))

    def next_line(self) -> str:
        return self.lines.get(timeout=60)

    def next_event(self, name: str) -> dict[str, Any]:
        """The next JSON line about an event of that name."""
        while True:
            line = self.next_line()
            event: dict[str, Any] = json.loads(line) if line.startswith("{") else {}
            if event.get("event") == name:
                return event

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str, str]:
        """Status, content type and text of an answer."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)  # noqa: S310 - http
        try:
            with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - http
                return response.status, response.headers["Content-Type"], response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers["Content-Type"], error.read().decode()

    def json(self, method: str, path: str, body: Any = None) -> Any:
        return json.loads(self.ask(method, path, body)[2])

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        if self.process.stdout:
            self.process.stdout.close()


def free_port(address: str = "127.0.0.1") -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)
