"""The real podman, with a store of its own and within the limits of wherever the tests run."""

import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def podman_command() -> Iterator[list[str]]:
    """The start of every podman command line; its store is removed at the end."""
    # Nested machines refuse podman's wish for larger limits, and crun a mixed cgroup hierarchy: runc takes both.
    runtime = ["--runtime", found] if (found := shutil.which("runc")) else []
    # podman refuses a run root of more than 50 characters, and so a test's own directory.
    with tempfile.TemporaryDirectory(prefix="podman-", ignore_cleanup_errors=True) as root:
        stores = ["--root", str(Path(root) / "store"), "--runroot", str(Path(root) / "run"), "--storage-driver", "vfs"]
        # Without its own, the reset at the end would take away what another podman of this machine works with.
        state = ["--tmpdir", str(Path(root) / "tmp")]
        command = ["podman", *stores, *state, "--cgroup-manager", "cgroupfs", *runtime]
        try:
            yield command
        finally:
            subprocess.run([*command, "system", "reset", "--force"], capture_output=True, check=False)


def limits() -> list[str]:
    """Options that keep podman from raising limits it may not raise."""
    options = []
    for name, kind in (("nproc", resource.RLIMIT_NPROC), ("nofile", resource.RLIMIT_NOFILE)):
        hard = resource.getrlimit(kind)[1]
        value = 4096 if hard == resource.RLIM_INFINITY else min(hard, 4096)
        options += ["--ulimit", f"{name}={value}:{value}"]
    return options
