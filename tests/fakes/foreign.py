"""Foreign programs as judges: found or reported as missing, run to an expected end, and given something to carry."""

import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import NoReturn

import pytest

from judges.build import NotBuildableError, ensure_built

PATIENCE_SECONDS = 300
# Set where everything is to be at hand, as by `.ci/run`: what cannot be run there has failed.
REQUIRE_JUDGES = "TOWPATH_REQUIRE_JUDGES"


def not_run(reason: str) -> NoReturn:
    """Report that a judge, a program or a Kubernetes, cannot be had: as not run, or failed where all are required."""
    if os.environ.get(REQUIRE_JUDGES, "0") not in {"", "0"}:
        pytest.fail(f"NOT RUN, though {REQUIRE_JUDGES} demands it: {reason}")
    pytest.skip(f"NOT RUN: {reason}")


def require(program: str, *, package: str = "") -> str:
    """The path of a program of a Debian package, which most often has its name; without it the test is not run."""
    found = shutil.which(program)
    if not found:
        not_run(f"{program} is not installed (Debian: apt-get install {package or program})")
    return found


def require_built(module: str) -> Path:
    """The directory with the programs of a module of `tests/judges`; where it cannot be built the test is not run."""
    try:
        return ensure_built(module)
    except NotBuildableError as error:
        not_run(f"{module} is built by Go: {error}")


def run(*argv: str | Path, expect: int = 0) -> str:
    """Run a program, which must succeed (0) or fail (anything else); all that it said."""
    done = subprocess.run(list(map(str, argv)), capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert (done.returncode == 0) is (expect == 0), done.stdout + done.stderr
    return done.stdout + done.stderr


def tar_of(content: bytes) -> bytes:
    """A layer of one file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("data")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
