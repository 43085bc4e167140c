"""What the kernel says about running processes: parents, memory, processor time, writes (`man 5 proc`)."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Memory:
    """Bytes: resident, and resident with shared pages divided among those who share them."""

    rss: int
    pss: int

    def __add__(self, other: "Memory") -> "Memory":
        return Memory(self.rss + other.rss, self.pss + other.pss)


NOTHING = Memory(0, 0)


def parse_smaps_rollup(text: str) -> Memory:
    """The sums of `/proc/PID/smaps_rollup`."""
    fields = {name: rest.split() for name, _, rest in (line.partition(":") for line in text.splitlines()[1:])}
    return Memory(int(fields["Rss"][0]) * 1024, int(fields["Pss"][0]) * 1024)


def parse_stat(text: str) -> tuple[int, int]:
    """`(parent's pid, ticks of processor time)` from `/proc/PID/stat`."""
    # The name stands in parentheses and may hold any character; the rest begins behind the last one.
    fields = text.rpartition(")")[2].split()
    return int(fields[1]), int(fields[11]) + int(fields[12])


def parse_io(text: str) -> int:
    """`write_bytes` of `/proc/PID/io`: what the process caused to be sent to storage."""
    fields = dict(line.split(": ") for line in text.splitlines())
    return int(fields["write_bytes"])


def memory_of(pids: Iterable[int]) -> Memory:
    """The memory of some processes together."""
    return sum((parse_smaps_rollup(_read(pid, "smaps_rollup")) for pid in pids), start=NOTHING)


def peak_memory_of(pid: int) -> int:
    """The most bytes that a process ever had resident (`VmHWM`)."""
    lines = dict(line.split(":", 1) for line in _read(pid, "status").splitlines())
    return int(lines["VmHWM"].split()[0]) * 1024


def processor_seconds_of(pids: Iterable[int]) -> float:
    """The processor time that some processes have used so far."""
    return sum(parse_stat(_read(pid, "stat"))[1] for pid in pids) / TICKS_PER_SECOND


def written_by(pids: Iterable[int]) -> int:
    """The bytes that some processes have written to storage so far."""
    return sum(parse_io(_read(pid, "io")) for pid in pids)


def children_of(pid: int) -> list[int]:
    """The direct children of a process."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parent, _ = parse_stat((entry / "stat").read_text())
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended meanwhile
            if parent == pid:
                found.append(int(entry.name))
    return found


def descendants_of(pid: int) -> list[int]:
    """All below a process, of any depth."""
    found: list[int] = []
    for child in children_of(pid):
        found += [child, *descendants_of(child)]
    return found


def _read(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()
