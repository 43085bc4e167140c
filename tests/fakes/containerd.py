"""A containerd of our own for judging tests: its own root, state and socket, ended by its process."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fakes.daemons import run_daemon
from fakes.foreign import not_run, require


@contextmanager
def run_containerd(home: Path) -> Iterator[Path]:
    """Run it in this directory; yields its socket. Needs root."""
    if os.geteuid() != 0:
        not_run("containerd needs root")
    home.mkdir()
    socket = home / "s"
    (home / "config.toml").write_text(
        f'version = 2\nroot = "{home}/root"\nstate = "{home}/state"\n'
        'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        f'[grpc]\naddress = "{socket}"\n[ttrpc]\naddress = "{home}/t"\n'
    )
    argv = [require("containerd"), "-c", home / "config.toml"]
    with run_daemon(argv, question=["ctr", "-a", socket, "version"], log=home / "log"):
        yield socket
