"""From `git push` to a ready workload on the embedded platform: one line changed in the sensor, twenty times.

    python -m bench push

By stage as the platform stamps them (`towpath history --timeline`), the median and the 95th percentile; and from
outside, from the start of the `git push` process until the new version answers over HTTP at the Service's address.
"""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.lab import Lab, ask, wait_until
from bench.numbers import Table, format_seconds, median, percentile

ENVIRONMENT, SERVICE = "dev", "sensor"
PUSHES = 20
# How often the outside is asked: fine against the second that is measured, and little load.
LOOK_SECONDS = 0.01


@dataclass(frozen=True)
class Push:
    """One push: seconds a stage, seconds until the push returned, and until the new version answered."""

    stages: dict[str, float]
    ready: float
    returned: float
    answered: float


def measure(*, pushes: int = PUSHES) -> tuple[dict[str, Any], list[Push]]:
    """The waterfall of the very first push, and the later ones."""
    with tempfile.TemporaryDirectory(prefix="bench-push-") as directory:
        lab = Lab(Path(directory))
        with lab.running():
            lab.git("push", "--quiet", "towpath", "main")
            first = lab.wait_until_ready(lab.git("rev-parse", "HEAD").strip(), ENVIRONMENT)
            address = lab.service_address(SERVICE, ENVIRONMENT)
            return first, [_push(lab, number, address) for number in range(1, pushes + 1)]


def _push(lab: Lab, number: int, address: tuple[str, int]) -> Push:
    commit = lab.change_one_line(number)
    started = time.monotonic()
    child = subprocess.Popen([sys.executable, "-c", _PUSH, str(lab.root)], stdout=subprocess.PIPE)
    wait_until(lambda: _version_at(address) == f"sha-{commit[:7]}", seconds=60, interval=LOOK_SECONDS, what="answer")
    answered = time.monotonic() - started
    returned = float(child.communicate()[0])
    waterfall = lab.wait_until_ready(commit, ENVIRONMENT)
    stages = {span["stage"]: span["end"] - span["start"] for span in waterfall["spans"]}
    return Push(stages, waterfall["total_seconds"], returned, answered)


# In a process of its own, so that it is timed while this one looks for the answer.
_PUSH = """
import subprocess, sys, time
started = time.monotonic()
subprocess.run(["git", "push", "--quiet", "towpath", "main"], cwd=sys.argv[1], check=True)
print(time.monotonic() - started)
"""


def _version_at(address: tuple[str, int]) -> str:
    try:
        status, body = ask(address, "/version")
        return str(json.loads(body)["version"]) if status == 200 else ""
    except (OSError, ValueError):
        return ""  # between the old pod and the new one nobody answers


def make_table(first: dict[str, Any], pushes: list[Push]) -> Table:
    """Stage by stage."""
    early = {span["stage"]: span["end"] - span["start"] for span in first["spans"]}
    rows = [
        _row(stage, [push.stages.get(stage, 0.0) for push in pushes], format_seconds(early.get(stage, 0.0)))
        for stage in ("fetched", "built", "pushed", "planned", "applied", "ready")
    ]
    rows += [
        _row("**received to ready**", [push.ready for push in pushes], format_seconds(first["total_seconds"])),
        _row("outside: `git push` returns", [push.returned for push in pushes], ""),
        _row("outside: `git push` to the new version's answer", [push.answered for push in pushes], ""),
    ]
    return Table(("stage", "median", "p95", "first push"), tuple(rows))


def _row(name: str, samples: list[float], first: str) -> tuple[str, ...]:
    return name, format_seconds(median(samples)), format_seconds(percentile(samples, 0.95)), first


def run() -> str:
    """Measure; the section."""
    first, pushes = measure()
    return f"{make_table(first, pushes).format()}\n\n{len(pushes)} pushes after the first one."
