"""The small child process that forks sandboxes and owns the pod network.

Why a process of its own: rootless, only a single-threaded process inside the user namespace that owns the network can
make pod namespaces and sockets in them; and forking from it costs far less than forking the whole platform.

It speaks JSON over a SOCK_SEQPACKET pair, file descriptors riding along; one answer for each request, in order, and an
`exit` message for each child that ends. Nothing here decides: `launcher` is the only client.

When the agent's end of the pair closes, however that came, everything below this process is killed before it ends.
Each child also dies with its parent, but a sandbox that is just being made may lose its parent before it has asked for
that; so orphans become children of this process, and those of sandboxes are killed when they do. Standard library
only, few imports: its memory is part of every platform.

    {"op":"pod","name","address"} · {"op":"forget","name"} · {"op":"sockets","count"} -> fds
    {"op":"listen","kind","address","port"} -> fd
    {"op":"spawn","argv","env","network","join","directory","cgroups","limits","stage"} + fds for 1, 2, 3, … -> {"pid"}
"""

import array
import contextlib
import json
import os
import select
import signal
import socket
import sys
from typing import Any

from towpath.cluster.node.sandbox.hub import Hub
from towpath.cluster.node.sandbox.namespaces import (
    CLONE_NEWNET,
    adopt_orphans,
    become_root_of_new_user_namespace,
    die_with_parent,
    drop_privileges,
    join_process,
    unshare,
)

# Below the default send buffer of a socket (212992 bytes), with room for the kernel's own book-keeping.
MESSAGE_BYTES = 160 * 1024
DESCRIPTORS = 16
# Far above what a request carries, so that dup2 to 1, 2, 3, … never overwrites a descriptor still needed.
_SAFE_DESCRIPTOR = 100
CANNOT_EXECUTE = 127
SHOWN_ERROR_CHARACTERS = 512
GROUP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Request = dict[str, Any]


class Broker:
    """Answers the agent's requests, one after the other."""

    def __init__(self, control: socket.socket, hub: Hub | None) -> None:
        self._control = control
        self._hub = hub
        self._forked: set[int] = set()

    def run(self) -> None:
        """Serve until the agent is gone, then end everything."""
        try:
            self._serve()
        finally:
            _end_descendants()

    def _serve(self) -> None:
        woken, wake = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(woken, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(woken, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == woken:
                    with contextlib.suppress(BlockingIOError):
                        os.read(woken, 512)
                    self._reap()
                elif not self._serve_one():
                    return

    def _serve_one(self) -> bool:
        content, descriptors = receive(self._control)
        if not content:
            return False
        message = json.loads(content)
        answer: Request
        made: list[int] = []
        try:
            answer, made = self._answer(message, descriptors)
        except OSError as error:
            answer = {"error": str(error)[:SHOWN_ERROR_CHARACTERS], "errno": error.errno or 0}
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        try:
            send(self._control, {"id": message["id"], **answer}, made)
        except OSError:
            return False
        finally:
            for descriptor in made:
                os.close(descriptor)
        return True

    def _answer(self, message: Request, descriptors: list[int]) -> tuple[Request, list[int]]:
        operation = message["op"]
        if operation == "spawn":
            return {"pid": self._spawn(message, descriptors)}, []
        if operation == "sockets":
            return {}, [_make_socket(socket.SOCK_STREAM) for _ in range(message["count"])]
        if operation == "listen":
            return {}, [_listen(message["kind"], message["address"], message["port"])]
        if self._hub is None:
            raise OSError(f"{operation}: this broker has no pod network")
        if operation == "pod":
            self._hub.add_pod(message["name"], message["address"])
        else:
            self._hub.remove_pod(message["name"])
        return {}, []

    def _spawn(self, message: Request, descriptors: list[int]) -> int:
        parent = os.getpid()
        pid = os.fork()
        if pid:
            self._forked.add(pid)
            return pid
        try:
            self._become_child(message, descriptors, parent)
        except BaseException as error:  # noqa: BLE001 - a fork must never return into the broker's loop
            # By its name alone: in the form, and so as one, of bubblewrap's own complaints.
            os.write(2, f"{os.path.basename(message['argv'][0])}: {error}\n".encode())  # noqa: PTH119
        os._exit(CANNOT_EXECUTE)

    def _become_child(self, message: Request, descriptors: list[int], parent: int) -> None:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGPIPE, *GROUP_SIGNALS):
            signal.signal(number, signal.SIG_DFL)
        _place_descriptors(descriptors)
        os.setsid()
        die_with_parent(signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(CANNOT_EXECUTE)  # the broker died between fork and prctl
        for path in message.get("cgroups") or []:
            with open(path, "w", encoding="ascii") as file:  # noqa: PTH123
                file.write("0")
        if message.get("limits"):
            _set_limits(message["limits"])
        if message.get("network") and self._hub is not None:
            self._hub.enter_pod(message["network"])
        if message.get("stage"):
            _put_mounts_together(message["stage"])
        if message.get("join"):
            _join(message["join"])
        if message.get("directory"):
            os.chdir(message["directory"])
        os.execvpe(message["argv"][0], message["argv"], message["env"])

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                self._kill_orphans()
                return
            if pid not in self._forked:
                continue
            self._forked.discard(pid)
            code = os.waitstatus_to_exitcode(status)
            with contextlib.suppress(OSError):  # the agent is gone; the loop sees it next
                send(self._control, {"exit": pid, "code": code if code >= 0 else 128 - code}, [])

    def _kill_orphans(self) -> None:
        """Kill what is left of a sandbox whose outer process is gone."""
        for pid in _children():
            if pid not in self._forked and _is_in_sandbox(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def _children() -> list[int]:
    from towpath.cluster.node.sandbox.processes import find_children  # noqa: PLC0415 - not before the first end

    return find_children(os.getpid())


def _is_in_sandbox(pid: int) -> bool:
    """Whether a process is in a pid namespace below this one: it has a number in each."""
    return len(_numbers(pid)) > len(_numbers(os.getpid()))


def _numbers(pid: int) -> list[str]:
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:  # noqa: PTH123
            return next((line.split()[1:] for line in file if line.startswith("NSpid:")), [])
    except OSError:
        return []


def _end_descendants() -> None:
    """Kill every process below this one: children, and whatever their deaths make children."""
    while True:
        for pid in _children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def receive(control: socket.socket) -> tuple[bytes, list[int]]:
    """One message with its file descriptors; no content when the other side is gone."""
    descriptors = array.array("i")
    size = DESCRIPTORS * descriptors.itemsize
    try:
        content, ancillary, _, _ = control.recvmsg(MESSAGE_BYTES, socket.CMSG_LEN(size), socket.MSG_CMSG_CLOEXEC)
    except ConnectionError:
        return b"", []
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    return content, list(descriptors)


def send(control: socket.socket, message: Request, descriptors: list[int]) -> None:
    """Send one message with its file descriptors. Raises OSError."""
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    control.sendmsg([json.dumps(message).encode()], ancillary)


def _place_descriptors(descriptors: list[int]) -> None:
    import fcntl  # noqa: PLC0415 - only a fork needs it

    safe = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _SAFE_DESCRIPTOR) for descriptor in descriptors]
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for target, descriptor in enumerate(safe, start=1):
        os.dup2(descriptor, target)


def _set_limits(limits: dict[str, int]) -> None:
    import resource  # noqa: PLC0415 - only a fork needs it

    for name, value in limits.items():
        resource.setrlimit(getattr(resource, name), (value, value))


def _put_mounts_together(steps: list[dict[str, Any]]) -> None:
    from towpath.cluster.node.sandbox.binds import carry_out  # noqa: PLC0415 - only a fork needs it

    carry_out(steps)


def _join(pid: int) -> None:
    join_process(pid)
    child = os.fork()  # the pid namespace holds for children only
    if child:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os._exit(code if code >= 0 else 128 - code)
    die_with_parent(signal.SIGKILL)
    drop_privileges()


def _make_socket(kind: int) -> int:
    return socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC).detach()


def _listen(kind: str, address: str, port: int) -> int:
    stream = kind == "tcp"
    made = socket.socket(fileno=_make_socket(socket.SOCK_STREAM if stream else socket.SOCK_DGRAM))
    try:
        if stream:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
        if stream:
            made.listen(512)
    except BaseException:
        made.close()
        raise
    return made.detach()


def _enter(network: dict[str, Any] | None) -> Hub | None:
    """Move into the namespaces this broker works in, and lay out the hub if it has one. Raises OSError."""
    if os.geteuid() == 0 and network is None:
        return None
    if os.geteuid() == 0:
        try:
            unshare(CLONE_NEWNET)
        except PermissionError:  # root without CAP_SYS_ADMIN, as in a container
            become_root_of_new_user_namespace(others=CLONE_NEWNET)
    else:
        become_root_of_new_user_namespace(others=CLONE_NEWNET if network else 0)
    return Hub(**network) if network else None


def main(arguments: list[str]) -> int:
    """Run a broker: `<descriptor of the control socket> <JSON of Hub's arguments, or null>`."""
    control = socket.socket(fileno=int(arguments[0]))
    # It came inheritable; a sandbox that had it could order processes outside of every sandbox.
    control.set_inheritable(False)
    # What a terminal or a supervisor sends to the whole group is for the agent, which stops the pods in good order; the
    # broker ends when the agent does.
    for number in GROUP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    try:
        hub = _enter(json.loads(arguments[1]))
        adopt_orphans()
    except (OSError, ValueError) as error:
        send(control, {"failed": str(error)[:SHOWN_ERROR_CHARACTERS]}, [])
        return 1
    send(control, {"ready": os.getpid()}, [])
    Broker(control, hub).run()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
