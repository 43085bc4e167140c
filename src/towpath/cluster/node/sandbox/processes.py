"""What /proc says of the processes in a sandbox, seen from the host."""

import contextlib
import os
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def find_children(pid: int) -> list[int]:
    """The children of a process; empty if it is gone."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return _scan_children(pid) if Path(f"/proc/{pid}").exists() else []


def find_name(pid: int) -> str:
    """The name of the program a process runs; "" if it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _scan_children(pid: int) -> list[int]:
    """For kernels built without `CONFIG_PROC_CHILDREN`."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name in parentheses may itself hold spaces and parentheses.
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid:
                found.append(int(stat.parent.name))
    return found


def resident_bytes(pid: int) -> int:
    """The resident memory of a process and everything under it; pages shared between them count twice."""
    total, waiting = 0, [pid]
    while waiting:
        current = waiting.pop()
        with contextlib.suppress(OSError):
            total += int(Path(f"/proc/{current}/statm").read_text().split()[1]) * _PAGE_BYTES
            waiting += find_children(current)
    return total
