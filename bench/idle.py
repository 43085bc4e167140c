"""What a platform costs while nothing happens: memory, processor and writes, with the fleet running.

    python -m bench idle

The fleet: a sensor and the chaos controller in dev, three sensors in prod, after several pushes and a promotion, so
that caches are as full as they get. The platform's processes are the one of `towpath up` and its direct children (the
broker that holds the pod network); what is below those are pods, and counted apart.
"""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.lab import Lab, wait_until
from bench.numbers import Table, format_mebibytes
from bench.processes import Memory, children_of, descendants_of, memory_of, processor_seconds_of, written_by

PUSHES = 5
# The node syncs what it has unpacked 45 s after a pull: that is the end of a push, not idling.
SETTLE_SECONDS = 50.0
IDLE_SECONDS = 60.0
FLEET = 5  # pods
SHOWN_FILES = 5


@dataclass(frozen=True)
class Idle:
    """An idle minute. Bytes, and a share of one core."""

    before_push: Memory
    platform: Memory
    broker: Memory
    pods: Memory
    processor_share: float
    written: int
    grown: int
    touched: tuple[str, ...]


def measure(*, seconds: float = IDLE_SECONDS) -> Idle:
    """Bring a fleet up, let it settle, and watch it for a while."""
    with tempfile.TemporaryDirectory(prefix="bench-idle-") as directory:
        lab = Lab(Path(directory))
        with lab.running():
            time.sleep(1)
            before = memory_of([lab.pid])
            _bring_up(lab)
            time.sleep(SETTLE_SECONDS)
            return _watch(lab, before, seconds)


def _bring_up(lab: Lab) -> None:
    for number in range(PUSHES):
        commit = lab.change_one_line(number)
        lab.git("push", "--quiet", "towpath", "main")
        lab.wait_until_ready(commit, "dev")
    lab.towpath("promote", "sensor", "--to", "prod", "--wait", "60")
    wait_until(lambda: _ready_pods(lab) == FLEET, seconds=60, interval=0.2, what="fleet")


def _ready_pods(lab: Lab) -> int:
    document = lab.api("/status")
    return sum(service["ready"] for one in document["environments"] for service in one["services"])


def _watch(lab: Lab, before: Memory, seconds: float) -> Idle:
    helpers = children_of(lab.pid)
    platform = [lab.pid, *helpers]
    pods = [pid for helper in helpers for pid in descendants_of(helper)]
    files, used, written = _files(lab.root), processor_seconds_of(platform), written_by(platform)
    started = time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - started
    after = _files(lab.root)
    return Idle(
        before_push=before,
        platform=memory_of([lab.pid]),
        broker=memory_of(helpers),
        pods=memory_of(pods),
        processor_share=(processor_seconds_of(platform) - used) / took,
        written=written_by(platform) - written,
        grown=sum(size for size, _ in after.values()) - sum(size for size, _ in files.values()),
        touched=tuple(sorted(path for path in after if files.get(path) != after[path])),
    )


def _files(root: Path) -> dict[str, tuple[int, int]]:
    """Size and time of the last change of every file of the platform."""
    found = {}
    for path in (root / ".towpath").rglob("*"):
        if path.is_file() and not path.is_symlink():
            status = path.stat()
            found[str(path.relative_to(root))] = status.st_size, status.st_mtime_ns
    return found


def make_tables(idle: Idle) -> list[Table]:
    """Memory; processor and writes."""
    whole = idle.platform + idle.broker
    memory = (
        ("`towpath up` before the first push", idle.before_push),
        ("`towpath up` with the fleet", idle.platform),
        ("the network broker", idle.broker),
        ("**the platform**", whole),
        ("the pods, apart", idle.pods),
    )
    columns = ("processes", "RSS", "PSS")
    rows = tuple((name, format_mebibytes(one.rss), format_mebibytes(one.pss)) for name, one in memory)
    quiet = (
        ("processor, share of one core", f"{idle.processor_share:.2%}"),
        ("bytes sent to storage", f"{idle.written}"),
        ("growth of the state directory, bytes", f"{idle.grown}"),
        ("files touched", ", ".join(idle.touched[:SHOWN_FILES]) or "none"),
    )
    return [Table(columns, rows), Table(("an idle minute", ""), quiet)]


def run() -> str:
    """Measure; the section."""
    return "\n\n".join(table.format() for table in make_tables(measure()))
