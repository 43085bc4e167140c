"""crane, built once from pinned Go modules and kept: `.cache/crane/<digest of what it is built from>/crane`."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

MODULE = Path(__file__).parents[1] / "judges" / "crane"
CACHE = Path(__file__).parents[2] / ".cache" / "crane"
PACKAGE = "github.com/google/go-containerregistry/cmd/crane"


class NoCraneError(Exception):
    """crane cannot be built here; the text says why."""


def ensure_crane() -> Path:
    """The program, built if need be. Raises NoCraneError."""
    if shutil.which("go") is None:
        raise NoCraneError("Go is not installed")
    digest = hashlib.sha256(b"".join((MODULE / name).read_bytes() for name in ("go.mod", "go.sum"))).hexdigest()[:16]
    binary = CACHE / digest / "crane"
    if binary.is_file():
        return binary
    binary.parent.mkdir(parents=True, exist_ok=True)
    new = binary.with_suffix(f".{os.getpid()}")
    built = subprocess.run(
        ["go", "build", "-mod=readonly", "-trimpath", "-o", new, PACKAGE],
        cwd=MODULE,
        env={**os.environ, "CGO_ENABLED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode != 0:
        raise NoCraneError(f"go build failed: {built.stderr.strip()[-2000:]}")
    new.replace(binary)
    return binary
