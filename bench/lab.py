"""A platform for one bench: scaffolded in a directory of its own, on free ports, run by `towpath up`, ended by pid.

The client is what a user has: `git`, and HTTP. What is measured is the process as a user starts it; only the byte code
cache is switched on if the environment switches it off, since an installed Towpath has one.
"""

import base64
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from towpath.errors import TowpathError

NAME = "lab"
CHANGED_FILE = Path("services/sensor/main.py")
START_SECONDS = 60.0
STOP_SECONDS = 30.0
# A disk that is kept busy by others can hold up any answer.
PATIENCE_SECONDS = 30.0


class BenchError(TowpathError):
    """What was to be measured did not happen."""


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_until(is_so: Callable[[], bool], *, seconds: float, interval: float, what: str) -> None:
    """Ask again and again. Raises BenchError when it does not come to be so."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise BenchError(f"{what} did not happen (Timeout): {seconds:g} s passed")
        time.sleep(interval)


class Lab:
    """One platform repository and the platform that runs it, if it runs."""

    def __init__(self, directory: Path) -> None:
        """Scaffold the repository below `directory`; prod takes what dev runs without a soak time."""
        self.root = directory / NAME
        self.port, self.kube_port = free_port(), free_port()
        self._environment = {
            **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            **{f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in _IDENTITY.items()},
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.log = directory / "up.log"
        self.towpath("init", str(self.root), "--port", str(self.port), cwd=directory)
        blueprint = self.root / "towpath.yaml"
        blueprint.write_text(blueprint.read_text().replace("soak: 1m", "soak: 0s"))
        self.git("commit", "--quiet", "--all", "--message", "Promote without a soak time")

    @property
    def pid(self) -> int:
        """The platform's process. Raises BenchError when it does not run."""
        if self._process is None or self._process.poll() is not None:
            raise BenchError(f"platform does not run (Ended): {self.log.read_text()[-400:]}")
        return self._process.pid

    def spawn(self) -> None:
        """Start the platform's process; it is not ready yet."""
        argv = [sys.executable, "-m", "towpath", "up", "--port", str(self.port), "--kube-port", str(self.kube_port)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(argv, cwd=self.root, env=self._environment, stdout=log, stderr=log)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Start it, wait until it is up, and end it afterwards."""
        self.spawn()
        try:
            self.wait_until_up()
            yield
        finally:
            self.stop()

    def wait_until_up(self) -> None:
        """Wait until it has said that it is up."""
        wait_until(self._is_up, seconds=START_SECONDS, interval=0.005, what="start")

    def stop(self) -> None:
        """End it, and wait."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(STOP_SECONDS)
        self._process = None

    def _is_up(self) -> bool:
        return self.pid > 0 and (self.root / ".towpath" / "run.json").exists()

    # --- what a user does

    def towpath(self, *arguments: str, cwd: Path | None = None) -> str:
        """Run a command; what it prints."""
        return self._run([sys.executable, "-m", "towpath", *arguments], cwd or self.root)

    def git(self, *arguments: str) -> str:
        """Run git in the repository; what it prints."""
        return self._run(["git", *arguments], self.root)

    def change_one_line(self, number: int) -> str:
        """Commit a change of one line in the sensor; the commit."""
        path = self.root / CHANGED_FILE
        text = path.read_text()
        first, _, rest = text.partition("\n")
        begin = first.removesuffix('"""').partition(" [")[0]
        path.write_text(f'{begin} [{number}]"""\n{rest}')
        self.git("commit", "--quiet", "--all", "--message", f"Change one line: {number}")
        return self.git("rev-parse", "HEAD").strip()

    # --- what it answers

    def get(self, path: str, *, user: str = "") -> tuple[int, bytes]:
        """One request as the administrator; status and body. Raises OSError."""
        token = json.loads((self.root / ".towpath" / "credentials.json").read_text())["admin_token"]
        basic = base64.b64encode(f"{user}:{token}".encode()).decode()
        authorization = f"Basic {basic}" if user else f"Bearer {token}"
        return ask(("127.0.0.1", self.port), path, {"Authorization": authorization})

    def api(self, path: str) -> Any:
        """A document of the platform's API. Raises BenchError, OSError."""
        status, body = self.get(f"/api/v1{path}")
        if status != 200:
            raise BenchError(f"API refused {path} ({status}): {body[:200]!r}")
        return json.loads(body)

    def find_waterfall(self, commit: str, environment: str) -> dict[str, Any] | None:
        """The stages of a commit, once it is ready."""
        found = self.api(f"/timeline?environment={environment}&limit=3")["waterfalls"]
        ready = [one for one in found if one["commit"] == commit and one["ready"]]
        return ready[0] if ready else None

    def wait_until_ready(self, commit: str, environment: str, *, seconds: float = 60.0) -> dict[str, Any]:
        """The stages of a commit, as soon as it is ready."""
        found: list[dict[str, Any]] = []

        def is_ready() -> bool:
            waterfall = self.find_waterfall(commit, environment)
            found.extend([waterfall] if waterfall else [])
            return bool(found)

        try:
            wait_until(is_ready, seconds=seconds, interval=0.05, what=f"{commit[:7]} ready in {environment}")
        except BenchError as error:
            raise BenchError(error.message, hint=self.towpath("explain", environment)) from error
        return found[0]

    def service_address(self, service: str, namespace: str) -> tuple[str, int]:
        """Where this machine reaches a Service."""
        kubectl = Path(sys.executable).parent / "kubectl"
        kubeconfig = str(self.root / ".towpath" / "kubeconfig")
        argv = [str(kubectl), "--kubeconfig", kubeconfig, "-n", namespace, "get", "service", service, "-o", "json"]
        document = json.loads(self._run(argv, self.root))
        first, _, _ = document["metadata"]["annotations"]["towpath.dev/loopback"].partition(",")
        host, _, port = first.rpartition(":")
        return host, int(port)

    def _run(self, argv: list[str], cwd: Path) -> str:
        ended = subprocess.run(argv, cwd=cwd, env=self._environment, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise BenchError(f"{' '.join(argv[:4])} failed (exit code {ended.returncode}): {ended.stderr[-400:]}")
        return ended.stdout


_IDENTITY = {"NAME": "Bench", "EMAIL": "bench@localhost"}


def ask(address: tuple[str, int], path: str, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    """One GET request; status and body. Raises OSError."""
    connection = http.client.HTTPConnection(*address, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        response = connection.getresponse()
        return response.status, response.read()
    except http.client.HTTPException as error:
        raise OSError(f"{address[0]}:{address[1]} broke off: {error!r}") from error
    finally:
        connection.close()
