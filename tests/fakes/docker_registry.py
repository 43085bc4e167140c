"""Debian's docker-registry (the reference implementation) on a port of its own, as an outside measure."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx

# A minute: it starts within a second, on a machine that is busy in some.
SECONDS_TO_START = 60


def find_docker_registry() -> str | None:
    """The program, or None where it is not installed."""
    return shutil.which("docker-registry")


@contextmanager
def run_docker_registry(home: Path) -> Iterator[str]:
    """Run it on this directory, with deletion enabled and no accounts; yields its URL."""
    home.mkdir()
    with (home / "log").open("w") as log:
        url, daemon = _start(home, log)
        try:
            yield url
        finally:
            daemon.terminate()
            daemon.wait()


def _start(home: Path, log: IO[str]) -> "tuple[str, subprocess.Popen[bytes]]":
    """Start it on a free port, and on another one when that was taken meanwhile: it cannot choose one itself."""
    give_up = time.monotonic() + SECONDS_TO_START
    while True:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        (home / "config.yml").write_text(
            "version: 0.1\nlog: {level: error}\n"
            f"storage: {{filesystem: {{rootdirectory: {home}/data}}, delete: {{enabled: true}}}}\n"
            f"http: {{addr: '127.0.0.1:{port}'}}\n"
        )
        daemon = subprocess.Popen(["docker-registry", "serve", home / "config.yml"], stdout=log, stderr=log)
        while daemon.poll() is None:
            if _answers(url):
                return url, daemon
            assert time.monotonic() < give_up, (home / "log").read_text()
            time.sleep(0.02)
        assert "address already in use" in (home / "log").read_text(), (home / "log").read_text()


def version_of_docker_registry() -> str:
    """What it calls itself, e.g. `docker-registry 2.8.2`."""
    said = subprocess.run(["docker-registry", "--version"], capture_output=True, text=True, check=True).stdout
    number = said.split()[-1].removeprefix("v").partition("+")[0]
    return f"docker-registry {number}"


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/v2/").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
