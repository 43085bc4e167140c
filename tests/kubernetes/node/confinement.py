"""The tests' side of a node's namespaces: control groups made and removed, programs started and ended by name."""

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kubernetes.node.settings import PLUGINS

SUPERVISOR = Path(__file__).with_name("supervisor.py")
CGROUPS = Path("/sys/fs/cgroup")
GROUP_PREFIX = "towpath-node-"
# What kubelet wants of a unified hierarchy.
CONTROLLERS = ("cpu", "cpuset", "io", "memory", "pids")
PROGRAMS = ("unshare", "nsenter", "mount", "ip", "containerd", "containerd-shim-runc-v2", "ctr", "runc")
ANSWER_SECONDS = 60.0


class NodeNotRunnableError(Exception):
    """This machine cannot run a node; the text says why."""


class NodeError(Exception):
    """A node did not do what it should; the text says what was last heard of it."""


def require_runnable() -> None:
    """Raises NodeNotRunnableError with all reasons why a node cannot run on this machine."""
    missing = [f"{name} is not installed" for name in PROGRAMS if shutil.which(name) is None]
    missing += (
        [] if Path(PLUGINS, "ptp").exists() else [f"{PLUGINS}/ptp is not installed (containernetworking-plugins)"]
    )
    if os.geteuid() != 0:
        missing.append("only root can run one")
    if not missing:
        tried = subprocess.run(
            ["unshare", "--mount", "--pid", "--cgroup", "--net", "--fork", "mount", "-t", "tmpfs", "tmpfs", "/run"],
            capture_output=True,
            text=True,
            check=False,
        )
        missing += [f"no namespaces: {tried.stderr.strip()}"] if tried.returncode else []
    if not missing:
        try:
            remove_groups(make_groups(f"{os.getpid()}-probe"))
        except OSError as error:
            missing.append(f"no control groups: {error}")
    if missing:
        raise NodeNotRunnableError("; ".join(missing))


def make_groups(name: str) -> list[Path]:
    """A control group of this name in each hierarchy: below this process's own, or at the top of a unified one."""
    unified = (CGROUPS / "cgroup.controllers").exists()
    for controller in CONTROLLERS if unified else ():
        with contextlib.suppress(OSError):  # switched on already, or not there
            (CGROUPS / "cgroup.subtree_control").write_text(f"+{controller}")
    made = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, own = line.split(":", 2)
        directory = CGROUPS
        if not unified:
            directory = _mount_point(controllers) / own.strip("/")
        group = directory / f"{GROUP_PREFIX}{name}"
        group.mkdir()
        made.append(group)
        for inherited in ("cpuset.cpus", "cpuset.mems"):  # empty at first in version 1, and then nobody may join
            if not unified and (directory / inherited).exists():
                (group / inherited).write_text((directory / inherited).read_text())
    return made


def remove_groups(groups: Sequence[Path]) -> None:
    """Remove empty control groups with those below them."""
    for group in groups:
        for directory, _, _ in os.walk(group, topdown=False):
            with contextlib.suppress(FileNotFoundError):
                Path(directory).rmdir()


def sweep_groups() -> None:
    """Remove what killed test runs left behind: groups named after a process that is gone."""
    for group in CGROUPS.glob(f"**/{GROUP_PREFIX}*"):
        owner = group.name.removeprefix(GROUP_PREFIX).partition("-")[0]
        if owner.isdecimal() and not Path(f"/proc/{owner}").exists():
            with contextlib.suppress(OSError):
                remove_groups([group])


def _mount_point(controllers: str) -> Path:
    if not controllers:
        return CGROUPS / "unified"
    return CGROUPS / controllers.removeprefix("name=")


class Confinement:
    """Namespaces with a supervisor in them. `close` ends everything that runs there."""

    def __init__(self, settings: Path, groups: Sequence[Path], log: Path) -> None:
        """Make the namespaces. Raises NodeError."""
        self._groups = groups
        self._log = log
        self._said: queue.Queue[dict[str, Any]] = queue.Queue()
        self._ended: dict[str, int] = {}
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-I", str(SUPERVISOR), "enter", str(settings)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                start_new_session=True,  # an interrupt at the keyboard is for the tests, which then end it
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self._await("ready")
        except NodeError:
            self.close()
            raise

    def start(self, name: str, argv: Sequence[str], log: Path) -> None:
        """Start a program in the namespaces."""
        self._ended.pop(name, None)
        self._order({"start": name, "argv": list(argv), "log": str(log)})
        self._await("started")

    def stop(self, name: str, number: int = signal.SIGTERM) -> int:
        """End a program; its exit code."""
        if name not in self._ended:
            self._order({"signal": name, "number": int(number)})
            while name not in self._ended:
                self._await("ended")
        return self._ended[name]

    def find_end(self, name: str) -> int | None:
        """The exit code of a program that has ended."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._note(self._said.get_nowait())
        return self._ended.get(name)

    def command(self, *argv: str) -> list[str]:
        """A command line that runs in the namespaces."""
        first = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()[0]
        return ["nsenter", "--target", first, "--mount", "--pid", *argv]

    def close(self) -> None:
        """End everything that runs in the namespaces, and remove the control groups."""
        self._process.kill()  # and with it, by its parent's death signal, the first process in the namespaces
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        remove_groups_patiently(self._groups)

    def _order(self, order: dict[str, Any]) -> None:
        if self._process.stdin is None:
            raise NodeError("the supervisor has no input")
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()

    def _read(self) -> None:
        if self._process.stdout is not None:
            for line in self._process.stdout:
                self._said.put(json.loads(line))
        self._said.put({"closed": True})

    def _await(self, key: str) -> None:
        while True:
            try:
                said = self._said.get(timeout=ANSWER_SECONDS)
            except queue.Empty:
                raise NodeError(f"the supervisor said nothing of {key!r} in {ANSWER_SECONDS:g} s") from None
            self._note(said)
            if key in said:
                return

    def _note(self, said: dict[str, Any]) -> None:
        if "ended" in said:
            self._ended[said["ended"]] = said["code"]
        if "closed" in said:
            raise NodeError(f"the supervisor has ended: {self._log.read_text(errors='replace')[-3000:]}")


def remove_groups_patiently(groups: Sequence[Path]) -> None:
    """Remove control groups whose processes are ending."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            remove_groups(groups)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
