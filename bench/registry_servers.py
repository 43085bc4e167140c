"""The two registries under measurement, each a process of its own on an empty directory."""

import base64
import http.client
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from bench.processes import peak_memory_of

IMAGES = 50
LARGE = "bench/large"
SERIAL = tuple(f"bench/serial{number}" for number in range(IMAGES))
PARALLEL = tuple(f"bench/parallel{number}" for number in range(IMAGES))
REPOSITORIES = (LARGE, *SERIAL, *PARALLEL)
START_SECONDS = 60.0
POLL_SECONDS = 0.0005


@dataclass(frozen=True)
class Running:
    """A registry that answers.

    Attributes:
        address: `127.0.0.1:<port>`.
        process: its process.
        start_seconds: from the start of the process to its first HTTP answer.
        authorizations: the header that opens each repository; none when it asks for none.
    """

    address: str
    process: "subprocess.Popen[bytes]"
    start_seconds: float
    authorizations: Mapping[str, str] = field(default_factory=dict)

    def peak_bytes(self) -> int:
        """The most memory it ever had resident."""
        return peak_memory_of(self.process.pid)


@contextmanager
def run_towpath(root: Path) -> Iterator[Running]:
    """`towpath registry serve` with one robot that may do everything."""
    root.mkdir()
    program = Path(sys.executable).with_name("towpath")
    made = subprocess.run(
        [program, "robot", "create", "bench", "--root", root, "--repository", "*", "--allow", "push", "-o", "json"],
        check=True,
        capture_output=True,
    )
    made_robot = json.loads(made.stdout)
    port = free_port()
    argv: list[str | Path] = [program, "registry", "serve", "--root", root, "--port", str(port)]
    with _running(argv, port) as (process, seconds):
        address = f"127.0.0.1:{port}"
        yield Running(address, process, seconds, _fetch_tokens(address, "bench", made_robot["secret"]))


@contextmanager
def run_docker_registry(root: Path) -> Iterator[Running]:
    """Debian's docker-registry, without authentication and without an access log."""
    root.mkdir()
    port = free_port()
    configuration = root / "config.yml"
    configuration.write_text(
        "version: 0.1\n"
        "log: {level: error, accesslog: {disabled: true}}\n"
        f"storage: {{filesystem: {{rootdirectory: {root / 'data'}}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
    )
    with _running(["docker-registry", "serve", configuration], port) as (process, seconds):
        yield Running(f"127.0.0.1:{port}", process, seconds)


def has_docker_registry() -> bool:
    """Whether there is one to compare with."""
    return shutil.which("docker-registry") is not None


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextmanager
def _running(argv: Sequence[str | Path], port: int) -> "Iterator[tuple[subprocess.Popen[bytes], float]]":
    started = time.perf_counter()
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _await_answer(process, port, started + START_SECONDS)
            yield process, time.perf_counter() - started
        finally:
            process.kill()


def _await_answer(process: "subprocess.Popen[bytes]", port: int, deadline: float) -> None:
    """Ask until there is an answer of whatever status."""
    while process.poll() is None and time.perf_counter() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
        try:
            connection.request("GET", "/v2/")
            connection.getresponse().read()
        except (ConnectionError, http.client.HTTPException):
            time.sleep(POLL_SECONDS)
        else:
            return
        finally:
            connection.close()
    raise RuntimeError(f"{process.args!r} does not answer; it ended with {process.poll()}")


def _fetch_tokens(address: str, name: str, secret: str) -> dict[str, str]:
    """A token for each repository, as a client asks for it once before its work there."""
    basic = base64.b64encode(f"{name}:{secret}".encode()).decode()
    connection = http.client.HTTPConnection(address, timeout=START_SECONDS)
    found = {}
    for repository in REPOSITORIES:
        query = urlencode({"scope": f"repository:{repository}:pull,push"})
        connection.request("GET", f"/token?{query}", headers={"Authorization": f"Basic {basic}"})
        found[repository] = f"Bearer {json.loads(connection.getresponse().read())['token']}"
    connection.close()
    return found
