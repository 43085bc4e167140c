"""Limits of memory, processor and processes: control groups where this user may write them, else rlimits.

Version 1 needs root; version 2 needs a delegated group (systemd: `Delegate=yes`) whose controllers can be passed on.
Without either, memory is bounded by RLIMIT_DATA and by a watch over resident memory (`processes.resident_bytes`,
polled by `pod.runtime`); processor and process limits are then not in force, and `missing` says so.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CGROUP_MOUNT = Path("/sys/fs/cgroup")
_V1_CONTROLLERS = ("memory", "pids", "cpu")
_V2_CONTROLLERS = ("memory", "pids", "cpu")
# The kernel's default scheduling period; quotas are written against it.
CPU_PERIOD_MICROSECONDS = 100_000
# bubblewrap and its init live in the container's group too.
SANDBOX_PIDS = 2
# RLIMIT_DATA counts what is mapped, not what is used: thread stacks alone are 8 MiB each. It only stops a wild
# allocation between two looks of the memory watch.
DATA_HEADROOM_FACTOR = 4
DATA_HEADROOM_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a container may use; 0 means no limit."""

    memory_bytes: int = 0
    cpu_cores: float = 0.0
    pids: int = 0


class Group:
    """The control groups of one container: one directory for version 2, one a controller for version 1."""

    def __init__(self, directories: Mapping[str, Path], *, version: int) -> None:
        self._directories = directories
        self._version = version

    @property
    def join_files(self) -> list[str]:
        """The files into which a process writes "0" to join."""
        return [str(directory / "cgroup.procs") for directory in dict.fromkeys(self._directories.values())]

    def set_limits(self, limits: Limits) -> None:
        """Put limits in force. Raises OSError."""
        for name, value in prepare_files(limits, version=self._version).items():
            controller = name.partition(".")[0]
            (self._directories[controller] / name).write_text(value)

    def oom_kills(self) -> int:
        """How many processes the kernel killed here for want of memory."""
        name = "memory.events" if self._version == 2 else "memory.oom_control"
        try:
            lines = (self._directories["memory"] / name).read_text().splitlines()
        except (OSError, KeyError):
            return 0
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)

    def remove(self) -> None:
        """Take the groups away; one that still has a dying process stays until `Cgroups.close`."""
        for directory in dict.fromkeys(self._directories.values()):
            with contextlib.suppress(OSError):
                directory.rmdir()


class Cgroups:
    """The control groups this agent may use."""

    def __init__(self, parents: Mapping[str, Path], *, version: int, missing: str = "") -> None:
        self._parents = parents
        self._version = version
        self.missing = missing

    @property
    def kind(self) -> str:
        """`cgroup v1`, `cgroup v2` or `rlimit`."""
        return f"cgroup v{self._version}" if self._version else "rlimit"

    def create(self, name: str, limits: Limits) -> Group | None:
        """A group with these limits; None when there is nothing to limit, or no group can be had here."""
        if not self._version or limits == Limits():
            return None
        group = Group(
            {controller: parent / name for controller, parent in self._parents.items()}, version=self._version
        )
        try:
            for parent in dict.fromkeys(self._parents.values()):
                (parent / name).mkdir(exist_ok=True)
            group.set_limits(limits)
        except OSError as error:
            self.missing = f"{error.filename or name}: {error.strerror}"
            group.remove()
            return None
        return group

    def close(self) -> bool:
        """Remove all groups that are empty; whether none is left. A killed process keeps its group a moment longer."""
        parents = list(dict.fromkeys(self._parents.values()))
        for parent in parents:
            remove_empty(parent)
        return not any(parent.exists() for parent in parents)


def find_cgroups(name: str, *, mount: Path = CGROUP_MOUNT, own: str | None = None) -> Cgroups:
    """What this user may use, with a parent group `name` made and emptied of a crashed agent's groups.

    Args:
        name: of the parent group; the same for the same data directory.
        mount: where control groups are mounted.
        own: the content of `/proc/self/cgroup`.
    """
    try:
        membership = Path("/proc/self/cgroup").read_text() if own is None else own
        paths = _parse_membership(membership)
        if (mount / "cgroup.controllers").exists():
            return _find_v2(name, mount / paths.get("", "/").lstrip("/"))
        return _find_v1(name, mount, paths)
    except OSError as error:
        return Cgroups({}, version=0, missing=f"{error.filename or mount}: {error.strerror}")


def prepare_files(limits: Limits, *, version: int) -> dict[str, str]:
    """The control files to write for these limits (pure)."""
    files = {}
    if limits.memory_bytes:
        files["memory.max" if version == 2 else "memory.limit_in_bytes"] = str(limits.memory_bytes)
        if version == 2:
            files["memory.oom.group"] = "1"
    if limits.pids:
        files["pids.max"] = str(limits.pids + SANDBOX_PIDS)
    if limits.cpu_cores:
        quota = max(int(limits.cpu_cores * CPU_PERIOD_MICROSECONDS), 1000)  # the kernel's least quota is 1 ms
        if version == 2:
            files["cpu.max"] = f"{quota} {CPU_PERIOD_MICROSECONDS}"
        else:
            files["cpu.cfs_quota_us"] = str(quota)
    return files


def prepare_rlimits(limits: Limits) -> dict[str, int]:
    """The rlimits that stand in for a control group (pure)."""
    if not limits.memory_bytes:
        return {}
    return {"RLIMIT_DATA": limits.memory_bytes * DATA_HEADROOM_FACTOR + DATA_HEADROOM_BYTES}


def remove_empty(directory: Path) -> None:
    """Remove a group and the groups under it, where no process is left."""
    with contextlib.suppress(OSError):
        for child in directory.iterdir():
            if child.is_dir():
                remove_empty(child)
        directory.rmdir()


def _parse_membership(text: str) -> dict[str, str]:
    """`/proc/self/cgroup` as controller -> path; version 2 is the controller ""."""
    paths = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path
    return paths


def _find_v1(name: str, mount: Path, paths: Mapping[str, str]) -> Cgroups:
    parents = {}
    for controller in _V1_CONTROLLERS:
        top = mount / controller
        own = top / paths.get(controller, "/").lstrip("/")
        # In a container the path is the host's while the mount shows only this group.
        parent = (own if own.is_dir() else top) / name
        remove_empty(parent)
        parent.mkdir(exist_ok=True)
        parents[controller] = parent
    return Cgroups(parents, version=1)


def _find_v2(name: str, own: Path) -> Cgroups:
    parent = own / name
    remove_empty(parent)
    parent.mkdir(exist_ok=True)
    try:
        _pass_on(own)
        _pass_on(parent)
    except OSError:
        remove_empty(parent)
        raise
    return Cgroups(dict.fromkeys(_V2_CONTROLLERS, parent), version=2)


def _pass_on(directory: Path) -> None:
    """Let the children of a group use the controllers. Raises OSError: a group with processes of its own may not."""
    control = directory / "cgroup.subtree_control"
    wanted = [controller for controller in _V2_CONTROLLERS if controller not in control.read_text().split()]
    if wanted:
        control.write_text(" ".join(f"+{controller}" for controller in wanted))
