"""Builds the judges that are Go programs, once, and keeps them: `.cache/judges/<module>-<digest of its files>/`.

    python tests/judges/build.py        build, if need be, and say what it took

A module is a directory beside this file; the `tool` lines of its go.mod name the programs, and go.sum pins every byte.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".cache" / "judges"


class NotBuildableError(Exception):
    """This machine cannot build a judge; the text says why."""


def modules() -> list[str]:
    """The modules, by name."""
    return sorted(path.parent.name for path in HERE.glob("*/go.mod"))


def ensure_built(module: str) -> Path:
    """The directory with a module's programs, built if need be. Raises NotBuildableError."""
    digest = hashlib.sha256(b"".join((HERE / module / name).read_bytes() for name in ("go.mod", "go.sum")))
    directory = CACHE / f"{module}-{digest.hexdigest()[:16]}"
    if directory.is_dir():
        return directory
    if shutil.which("go") is None:
        raise NotBuildableError("Go is not installed")
    CACHE.mkdir(parents=True, exist_ok=True)
    with _lock(CACHE / f"{module}.lock"):
        if not directory.is_dir():
            _go_build(module, directory)
    return directory


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Whoever needs a judge that is being built waits for it, instead of building it as well."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _go_build(module: str, directory: Path) -> None:
    new = directory.with_name(f"{directory.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    # One package at a time: two compilers at once need more memory than a small machine has.
    built = subprocess.run(
        ["go", "build", "-p", "1", "-mod=readonly", "-trimpath", "-ldflags", "-s -w", "-o", f"{new}/", "tool"],
        cwd=HERE / module,
        env={**os.environ, "CGO_ENABLED": "0"},
        check=False,
        capture_output=True,
        text=True,
    )
    if built.returncode != 0:
        raise NotBuildableError(f"go build failed: {built.stderr.strip()[-2000:]}")
    new.replace(directory)


def main() -> int:
    """Build and report; 3 when this machine cannot."""
    for module in modules():
        began = time.monotonic()
        try:
            programs = ensure_built(module)
        except NotBuildableError as error:
            sys.stderr.write(f"NOT RUN: the judgement of {module} needs it built: {error}\n")
            return 3
        names = ", ".join(sorted(path.name for path in programs.iterdir()))
        sys.stdout.write(f"{programs}: {names}, in {time.monotonic() - began:.0f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
