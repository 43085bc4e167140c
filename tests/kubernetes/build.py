"""Builds the control plane with kubelet once and keeps it: `.cache/kubernetes/<digest of what it is built from>/`.

    python tests/kubernetes/build.py        build, if need be, and say what it took

An ordinary `go build` of the module in `controlplane/`; `go.sum` pins every byte. The digest covers the module's files
and the Go version, so a change of either builds anew and anything else does not.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

MODULE = Path(__file__).parent / "controlplane"
CACHE = Path(__file__).parents[2] / ".cache" / "kubernetes"


class NotBuildableError(Exception):
    """This machine cannot build a control plane; the text says why."""


def kubernetes_version() -> str:
    """`v1.37.2`, as go.mod requires it."""
    found = re.search(r"^\s*k8s\.io/kubernetes (v[\d.]+)$", (MODULE / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise NotBuildableError("go.mod does not require k8s.io/kubernetes")
    return found[1]


def find_go() -> str:
    """The version of the Go toolchain. Raises NotBuildableError when there is none, or one too old."""
    if shutil.which("go") is None:
        raise NotBuildableError("Go is not installed")
    version = subprocess.run(["go", "env", "GOVERSION"], check=True, capture_output=True, text=True).stdout.strip()
    wanted = re.search(r"^go (\d+)\.(\d+)", (MODULE / "go.mod").read_text(), re.MULTILINE)
    have = re.match(r"go(\d+)\.(\d+)", version)
    if wanted and have and tuple(map(int, have.groups())) < tuple(map(int, wanted.groups())):
        raise NotBuildableError(f"{version} is installed, and go.mod needs go{wanted[1]}.{wanted[2]}")
    return version


def find_built() -> Path | None:
    """The binary with all components, if it is there; None also without Go, whose version is part of its name."""
    try:
        binary = CACHE / _digest(find_go()) / "control-plane"
    except NotBuildableError:
        return None
    return binary if binary.is_file() else None


def ensure_built() -> Path:
    """The binary with all components, built if need be. Raises NotBuildableError."""
    if (built := find_built()) is not None:
        return built
    directory = CACHE / _digest(find_go())
    binary = directory / "control-plane"
    directory.mkdir(parents=True, exist_ok=True)
    version = kubernetes_version()
    major, minor, _patch = version.removeprefix("v").split(".")
    settings = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    began = time.monotonic()
    _go_build(".", binary, [f"-X k8s.io/component-base/version.{key}={value}" for key, value in settings.items()])
    measured = {"seconds": round(time.monotonic() - began), "bytes": binary.stat().st_size, "kubernetes": version}
    (directory / "build.json").write_text(json.dumps(measured))
    return binary


def ensure_pause_built() -> Path:
    """The program of the sandbox image, built if need be. Raises NotBuildableError."""
    binary = CACHE / _digest(find_go()) / "pause"
    if not binary.is_file():
        binary.parent.mkdir(parents=True, exist_ok=True)
        _go_build("./pause", binary, [])
    return binary


def _go_build(package: str, binary: Path, flags: Sequence[str]) -> None:
    # One package at a time: two compilers at once need more memory than a small machine has.
    new = Path(f"{binary}.new")
    built = subprocess.run(
        ["go", "build", "-p", "1", "-trimpath", "-ldflags", " ".join(["-s", "-w", *flags]), "-o", str(new), package],
        cwd=MODULE,
        env={**os.environ, "CGO_ENABLED": "0"},
        check=False,
        capture_output=True,
        text=True,
    )
    if built.returncode != 0:
        raise NotBuildableError(f"go build failed: {built.stderr.strip()[-2000:]}")
    new.replace(binary)


def _digest(go_version: str) -> str:
    digest = hashlib.sha256(go_version.encode())
    for name in ("go.mod", "go.sum", *sorted(str(path.relative_to(MODULE)) for path in MODULE.rglob("*.go"))):
        digest.update((MODULE / name).read_bytes())
    return digest.hexdigest()[:16]


def main() -> int:
    """Build and report; 3 when this machine cannot."""
    try:
        binary = ensure_built()
        ensure_pause_built()
    except NotBuildableError as error:
        sys.stderr.write(f"NOT RUN: the suites on a real Kubernetes need a control plane: {error}\n")
        return 3
    report = json.loads((binary.parent / "build.json").read_text())
    size = report["bytes"] / 1024 / 1024
    sys.stdout.write(f"{binary}: Kubernetes {report['kubernetes']}, {size:.0f} MiB, built in {report['seconds']} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
