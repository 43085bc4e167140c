"""The daemons that build Dockerfiles, BuildKit's and docker's: throwaway ones, apart from any that the machine has.

Each has its state, its socket and its configuration in one directory; docker's has a network and mounts of its own as
well, so that its bridge and what it leaves mounted end with it.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fakes.containerd import run_containerd
from fakes.daemons import run_daemon
from fakes.foreign import not_run, require, require_built

_APART = ("unshare", "--net", "--mount")


@contextmanager
def run_buildkitd(home: Path) -> Iterator[str]:
    """Run it in an empty directory; yields its address. Needs root and runc."""
    programs = require_built("buildkit")
    require("runc")
    if os.geteuid() != 0:
        not_run("buildkitd needs root")
    address = f"unix://{home / 's'}"
    (home / "buildkitd.toml").touch()
    argv = [
        programs / "buildkitd",
        f"--config={home / 'buildkitd.toml'}",
        f"--root={home / 'root'}",
        f"--addr={address}",
        "--oci-worker-snapshotter=native",
        "--containerd-worker=false",
    ]
    question = [programs / "buildctl", f"--addr={address}", "debug", "workers"]
    with run_daemon(argv, question=question, log=home / "log"):
        yield address


@contextmanager
def run_dockerd(home: Path) -> Iterator[str]:
    """Run it in an empty directory; yields its address. Needs root that may make namespaces."""
    for program in ("docker", "dockerd"):
        require(program, package="docker.io")
    require("runc")
    if subprocess.run([*_APART, "true"], capture_output=True, check=False).returncode != 0:
        not_run("dockerd needs root that may make namespaces")
    address = f"unix://{home / 's'}"
    (home / "daemon.json").write_text("{}")
    with run_containerd(home / "containerd") as containerd:
        argv = [
            *_APART,
            "dockerd",
            f"--config-file={home / 'daemon.json'}",
            f"--host={address}",
            f"--containerd={containerd}",
            f"--data-root={home / 'data'}",
            f"--exec-root={home / 'exec'}",
            f"--pidfile={home / 'pid'}",
            # There is nobody behind its bridge: no traffic to filter, to translate or to forward.
            "--iptables=false",
            "--ip6tables=false",
            "--ip-masq=false",
            "--ip-forward=false",
            # Lower than that of its own process may not be had where the tests run.
            "--oom-score-adjust=0",
        ]
        question = ["docker", f"--host={address}", "version"]
        with run_daemon(argv, question=question, log=home / "log"):
            yield address
