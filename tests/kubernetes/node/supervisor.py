"""The first process of a node's own PID, mount and control group namespaces: everything of the node ends when it ends.

    python supervisor.py enter SETTINGS       joins the node's control groups and makes the namespaces
    python supervisor.py supervise SETTINGS   the first process in them: mounts, then starts programs as it is told

A program of its own, with the standard library alone. It is told by lines of JSON on its standard input, says by lines
of JSON what has ended, reaps orphans (shims leave some), and ends with its input: so a killed test run leaves no
process and no mount behind. What stays of a killed run are empty control groups, which the next one removes.
"""

import ctypes
import json
import os
import selectors
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
CGROUPS = Path("/sys/fs/cgroup")
CLONE_NEWCGROUP = 0x02000000
# Directories of the machine that the node's programs write to by fixed names; inside, they are the node's own.
OWN_DIRECTORIES = ("/var/lib", "/var/log")
# kubelet sets these, and the network plugin the last one, for the whole machine. Inside they look set, and nothing is.
PRETENDED = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1000000,
    "kernel/keys/root_maxbytes": 25000000,
    "net/ipv4/ip_forward": 1,
}


def enter(path: str) -> None:
    """Become the supervisor, in the node's control groups and in namespaces of its own."""
    settings = json.loads(Path(path).read_text())
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != settings["owner"]:
        sys.exit("the tests ended first")
    for group in settings["cgroups"]:
        (Path(group) / "cgroup.procs").write_text(str(os.getpid()))
    # From here on these groups are the roots.
    if libc.unshare(CLONE_NEWCGROUP) != 0:
        sys.exit(f"no control group namespace: {os.strerror(ctypes.get_errno())}")
    if (CGROUPS / "cgroup.controllers").exists():
        # Unified: a group with processes of its own cannot have groups with limits below it.
        [group] = settings["cgroups"]
        leaf = Path(group) / "init"
        leaf.mkdir()
        (leaf / "cgroup.procs").write_text(str(os.getpid()))
    namespaces = ["--mount", "--pid", "--fork", "--kill-child=SIGKILL", "--propagation=private"]
    os.execvp("unshare", ["unshare", *namespaces, sys.executable, "-I", __file__, "supervise", path])


class Supervisor:
    """Starts programs by name, forwards signals to them, tells their ends."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}

    def run(self) -> None:
        """Serve until the input ends."""
        woken, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        selector = selectors.DefaultSelector()
        selector.register(sys.stdin.buffer, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        buffered = b""
        tell(ready=True)
        while True:
            for key, _ in selector.select():
                if key.fd == woken:
                    os.read(woken, 4096)
                    self._reap()
                    continue
                piece = os.read(sys.stdin.fileno(), 65536)
                if not piece:
                    return
                *lines, buffered = (buffered + piece).split(b"\n")
                for line in lines:
                    self._do(json.loads(line))

    def _do(self, order: dict[str, Any]) -> None:
        if "start" in order:
            output = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            nothing = os.open(os.devnull, os.O_RDONLY)
            child = os.posix_spawnp(
                order["argv"][0],
                order["argv"],
                os.environ,
                file_actions=[(os.POSIX_SPAWN_DUP2, fd, n) for fd, n in ((nothing, 0), (output, 1), (output, 2))],
                setsid=True,
            )
            os.close(output)
            os.close(nothing)
            self._names[child] = order["start"]
            tell(started=order["start"], pid=child)
        else:
            for child, name in self._names.items():
                if name == order["signal"]:
                    os.kill(child, order["number"])

    def _reap(self) -> None:
        while True:
            try:
                child, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if child == 0:
                return
            name = self._names.pop(child, "")
            if name:
                tell(ended=name, code=os.waitstatus_to_exitcode(status))


def tell(**what: Any) -> None:
    """One line for the tests."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def prepare_mounts(directory: Path) -> None:
    """The machine's file system with what must be the node's own: /proc, /run, control groups, fixed directories."""
    resolver = Path("/etc/resolv.conf").resolve()
    servers = resolver.read_bytes() if resolver.is_file() else b""
    hierarchies = _hierarchies()
    _mount("-t", "proc", "proc", "/proc")
    parameters = directory / "parameters"
    parameters.mkdir(exist_ok=True)
    for number, (parameter, value) in enumerate(PRETENDED.items()):
        (parameters / str(number)).write_text(f"{value}\n")
        _mount("--bind", str(parameters / str(number)), f"/proc/sys/{parameter}")
    for fixed in OWN_DIRECTORIES:
        own = directory / fixed.strip("/").replace("/", "-")
        own.mkdir(exist_ok=True)
        _mount("--bind", str(own), fixed)
    _mount("-t", "tmpfs", "tmpfs", "/run")
    if resolver.is_relative_to("/run"):
        resolver.parent.mkdir(parents=True, exist_ok=True)
        resolver.write_bytes(servers)
    _mount_cgroups(hierarchies)
    # As on machines with systemd: volumes may ask for mount propagation.
    _mount("--make-rshared", "/")


def prepare_address(link: str, address: str) -> None:
    """An address of the machine for the node; its link goes with the network namespace of its other end."""
    _run("ip", "netns", "add", "other-end")
    _run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", "other-end")
    _run("ip", "address", "add", f"{address}/32", "dev", link)
    _run("ip", "link", "set", link, "up")


def _hierarchies() -> list[tuple[str, str, str]]:
    """Mount point, type and options of each control group hierarchy of the machine."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind in {"cgroup", "cgroup2"}:
            found.append((before.split()[4], kind, options))
    return found


def _mount_cgroups(hierarchies: list[tuple[str, str, str]]) -> None:
    """The hierarchies as the control group namespace shows them: the node's own group is their root."""
    if any(kind == "cgroup2" and point == str(CGROUPS) for point, kind, _ in hierarchies):
        _mount("-t", "cgroup2", "cgroup2", str(CGROUPS))
        for controller in (CGROUPS / "cgroup.controllers").read_text().split():
            (CGROUPS / "cgroup.subtree_control").write_text(f"+{controller}")
        return
    _mount("-t", "tmpfs", "tmpfs", str(CGROUPS))
    for point, kind, options in hierarchies:
        Path(point).mkdir(exist_ok=True)
        if kind == "cgroup2":
            _mount("-t", kind, kind, point)
            continue
        wanted = [option for option in options.split(",") if option not in {"rw", "ro", "xattr"}]
        named = any(option.startswith("name=") for option in wanted)
        _mount("-t", kind, "-o", ",".join([*(["none"] if named else []), *wanted]), kind, point)


def _mount(*arguments: str) -> None:
    _run("mount", *arguments)


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno())


def main() -> None:
    """The two steps."""
    step, path = sys.argv[1:]
    if step == "enter":
        enter(path)
    settings = json.loads(Path(path).read_text())
    prepare_mounts(Path(settings["directory"]))
    prepare_address(settings["link"], settings["address"])
    Supervisor().run()


if __name__ == "__main__":
    main()
