"""Foreign programs as judges: found or reported as missing, run to an expected end, and given something to carry."""

import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import NoReturn

import pytest

PATIENCE_SECONDS = 300
# Set where everything is to be at hand, as by `.ci/run`: what cannot be run there has failed.
REQUIRE_NODE = "TOWPATH_REQUIRE_NODE"


def not_run(reason: str) -> NoReturn:
    """Report that a real Kubernetes or its node cannot be had: as not run, or where one is required, as a failure."""
    if os.environ.get(REQUIRE_NODE, "0") not in {"", "0"}:
        pytest.fail(f"NOT RUN, though {REQUIRE_NODE} demands it: {reason}")
    pytest.skip(f"NOT RUN: {reason}")


def require(program: str) -> str:
    """The path of a program; without it the judgement fails, and says so."""
    found = shutil.which(program)
    if not found:
        pytest.fail(f"{program} is not installed")
    return found


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
