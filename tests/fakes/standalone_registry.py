"""`towpath registry serve` as a process, for tests: `with serve_alone(root) as registry`."""

import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from fakes.platform import basic

TOWPATH = str(Path(sys.executable).parent / "towpath")
# Far above what anything here takes, also on a machine that is ten times slower.
PATIENCE_SECONDS = 90


@dataclass
class StandaloneRegistry:
    """A running one."""

    root: Path
    process: "subprocess.Popen[str]"
    url: str
    said: list[str] = field(default_factory=list)

    @property
    def host(self) -> str:
        """`127.0.0.1:<port>`."""
        return urlsplit(self.url).netloc

    def robot(self, *arguments: str) -> str:
        """`towpath robot …` in its directory; the output."""
        argv = [TOWPATH, "robot", *arguments, "--root", str(self.root)]
        return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=PATIENCE_SECONDS).stdout

    def create_robot(self, name: str, repositories: str = "*", *, allow: str = "push") -> str:
        """Make a robot; its secret."""
        out = self.robot("create", name, "--repository", repositories, "--allow", allow, "-o", "json")
        return str(json.loads(out)["secret"])

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        login: tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        trust: Path | None = None,
    ) -> tuple[int, bytes]:
        """One request; status and body."""
        sent = dict(headers or {})
        if login:
            sent["Authorization"] = basic(*login)
        if self.url.startswith("https"):
            context = ssl.create_default_context(cafile=trust)
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                self.host, context=context, timeout=PATIENCE_SECONDS
            )
        else:
            connection = http.client.HTTPConnection(self.host, timeout=PATIENCE_SECONDS)
        try:
            connection.request(method, path, body or None, sent)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)


@contextmanager
def serve_alone(
    root: Path, *options: str, environment: Mapping[str, str] | None = None
) -> Iterator[StandaloneRegistry]:
    """Run a registry in this directory until the block ends."""
    argv = [TOWPATH, "registry", "serve", "--root", str(root), "--port", "0", *options]
    process = subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}
    )
    assert process.stdout is not None
    assert process.stderr is not None
    said: list[str] = []
    stderr = process.stderr
    reader = threading.Thread(target=lambda: said.extend(stderr), daemon=True)
    reader.start()
    try:
        line = process.stdout.readline()
        assert "serves at" in line, (line, said)
        yield StandaloneRegistry(root, process, line.split()[-1], said)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        reader.join(PATIENCE_SECONDS)
        process.stdout.close()
        process.stderr.close()
