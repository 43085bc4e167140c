"""A containerd of our own for judging tests: its own root, state and socket, ended by its process."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS_TO_START = 30


@contextmanager
def run_containerd(home: Path) -> Iterator[list[str]]:
    """Run it in this directory; yields the `ctr` command that speaks to it. Needs root."""
    home.mkdir()
    socket = home / "s"
    (home / "config.toml").write_text(
        f'version = 2\nroot = "{home}/root"\nstate = "{home}/state"\n'
        'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        f'[grpc]\naddress = "{socket}"\n[ttrpc]\naddress = "{home}/t"\n'
    )
    ctr = ["ctr", "-a", str(socket)]
    with (home / "log").open("w") as log:
        daemon = subprocess.Popen(["containerd", "-c", home / "config.toml"], stdout=log, stderr=log)
    try:
        give_up = time.monotonic() + SECONDS_TO_START
        while subprocess.run([*ctr, "version"], capture_output=True, check=False).returncode != 0:
            assert daemon.poll() is None, (home / "log").read_text()
            assert time.monotonic() < give_up, (home / "log").read_text()
        yield ctr
    finally:
        daemon.terminate()
        daemon.wait()
