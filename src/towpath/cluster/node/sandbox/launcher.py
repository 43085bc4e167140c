"""The agent's client of the broker process (`broker`): fork a sandbox, make a pod namespace, get a socket.

Requests are answered in order, so the answer to a request is found by its id. When the broker is gone every open
request fails and every child counts as killed, because nothing it started can outlive it.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import towpath
from towpath.cluster.node.sandbox.broker import MESSAGE_BYTES, receive, send
from towpath.errors import TowpathError

KILLED = 128 + signal.SIGKILL
# 16: a burst of connections costs one round trip, and idle sockets cost the kernel next to nothing.
SOCKETS_AT_ONCE = 16
START_TIMEOUT_SECONDS = 10.0
# Killing takes milliseconds; a broker that takes so long is stuck.
END_TIMEOUT_SECONDS = 30.0


class SandboxError(TowpathError):
    """The machine refused what a sandbox needs. `errno` is the kernel's reason, or 0."""

    def __init__(self, message: str, *, errno: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.errno = errno


@dataclass(frozen=True, slots=True)
class HubNetwork:
    """Where the pod network lies: the gateway's address and the Service range."""

    gateway: str
    services: str
    services_prefix: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spawn:
    """One process to fork. `stdout`, `stderr` and `passed` become its descriptors 1, 2, 3, …."""

    argv: Sequence[str]
    stdout: int
    stderr: int
    passed: Sequence[int] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    network: str = ""  # the pod whose namespace it runs in; "" for the broker's own
    join: int = 0  # enter the namespaces of this process first (`exec`)
    directory: str = ""
    cgroups: Sequence[str] = ()  # files to which it writes itself before it executes
    limits: Mapping[str, int] = field(default_factory=dict)
    stage: Sequence[Mapping[str, Any]] = ()  # mounts to put together before it executes, see `staging.Step`


class Child:
    """A process forked by the broker."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def wait(self) -> int:
        """Its exit code; 128 + the signal that ended it."""
        return await asyncio.shield(self._code)

    def has_exited(self) -> bool:
        """Whether it has ended."""
        return self._code.done()

    def kill_group(self) -> None:
        """Kill it with everything of its session."""
        if self.has_exited():
            return
        # The process itself too: right after the fork it has no session, and so no group, of its own yet.
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(self.pid, signal.SIGKILL)

    def exited(self, code: int) -> None:
        """Told by the launcher, once."""
        if not self._code.done():
            self._code.set_result(code)


class Launcher:
    """One broker process and the children it forked."""

    def __init__(self, network: HubNetwork | None = None, *, on_lost: Callable[[], None] | None = None) -> None:
        self._network = network
        self._on_lost = on_lost
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._ready: asyncio.Future[None] | None = None
        self._requests: dict[int, asyncio.Future[tuple[dict[str, Any], list[int]]]] = {}
        self._last_request = 0
        self._children: dict[int, Child] = {}
        self._spare: deque[socket.socket] = deque()

    async def start(self) -> None:
        """Start the broker, anew after it was lost. Raises SandboxError when the machine refuses the namespaces."""
        await self.close()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        hub = None
        if self._network is not None:
            network = self._network
            hub = {
                "gateway": network.gateway,
                "services": network.services,
                "services_prefix": network.services_prefix,
            }
        root = str(Path(towpath.__file__).parent.parent)
        program = (
            f"import sys; sys.path.insert(0, {root!r}); "
            "from towpath.cluster.node.sandbox.broker import main; sys.exit(main(sys.argv[1:]))"
        )
        with theirs:
            # -I and -S: no user site, no .pth files; the broker needs the standard library and four modules of ours.
            self._process = subprocess.Popen(  # noqa: ASYNC220 - posix_spawn of an interpreter, not a wait
                [sys.executable, "-I", "-S", "-c", program, str(theirs.fileno()), json.dumps(hub)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={"LC_ALL": "C.UTF-8", "PATH": os.environ.get("PATH", os.defpath)},
            )
        ours.setblocking(False)
        self._control = ours
        loop = asyncio.get_running_loop()
        self._ready = loop.create_future()
        loop.add_reader(ours, self._receive)
        try:
            await asyncio.wait_for(self._ready, START_TIMEOUT_SECONDS)
        except TimeoutError as error:
            await self.close()
            raise SandboxError(f"sandbox broker did not start (Timeout): {START_TIMEOUT_SECONDS:g} s passed") from error
        except SandboxError:
            await self.close()
            raise

    async def close(self) -> None:
        """End the broker, and with it every process it forked."""
        self._lose("closed")
        process, self._process = self._process, None
        if process is not None:
            await asyncio.to_thread(_await_end, process)

    @property
    def pid(self) -> int:
        """The broker's process id; 0 when it does not run."""
        return self._process.pid if self._process is not None else 0

    async def add_pod(self, name: str, address: str) -> None:
        """Make the network namespace of a pod. Raises SandboxError."""
        await self._request({"op": "pod", "name": name, "address": address})

    async def forget_pod(self, name: str) -> None:
        """Let go of the network namespace of a pod."""
        with contextlib.suppress(SandboxError):
            await self._request({"op": "forget", "name": name})

    async def spawn(self, request: Spawn) -> Child:
        """Fork a process. Raises SandboxError."""
        message = {
            "op": "spawn",
            "argv": list(request.argv),
            "env": dict(request.env),
            "network": request.network,
            "join": request.join,
            "directory": request.directory,
            "cgroups": list(request.cgroups),
            "limits": dict(request.limits),
            "stage": [dict(step) for step in request.stage],
        }
        answer, _ = await self._request(message, [request.stdout, request.stderr, *request.passed])
        child: Child = answer["child"]
        return child

    async def connectable(self) -> socket.socket:
        """An unconnected TCP socket in the broker's network. Raises SandboxError."""
        if not self._spare:
            _, descriptors = await self._request({"op": "sockets", "count": SOCKETS_AT_ONCE})
            self._spare.extend(_adopt(descriptor) for descriptor in descriptors)
        return self._spare.popleft()

    async def listen(self, kind: str, address: str, port: int) -> socket.socket:
        """A bound socket in the broker's network, listening if `kind` is "tcp". Raises SandboxError."""
        _, descriptors = await self._request({"op": "listen", "kind": kind, "address": address, "port": port})
        return _adopt(descriptors[0])

    async def _request(
        self, message: dict[str, Any], descriptors: list[int] | None = None
    ) -> tuple[dict[str, Any], list[int]]:
        if self._control is None:
            raise SandboxError("sandbox broker is not running (Lost): it was closed or it crashed")
        self._last_request += 1
        number = self._last_request
        message["id"] = number
        if len(json.dumps(message)) > MESSAGE_BYTES - 1024:
            raise SandboxError("command line is too long (ArgumentListTooLong): more than 159 KiB", errno=7)
        future: asyncio.Future[tuple[dict[str, Any], list[int]]] = asyncio.get_running_loop().create_future()
        self._requests[number] = future
        try:
            await self._send(message, descriptors or [])
        except OSError as error:
            self._lose(str(error))
        try:
            answer, received = await asyncio.shield(future)
        except asyncio.CancelledError:
            future.add_done_callback(_discard)
            raise
        if "error" in answer:
            for descriptor in received:
                os.close(descriptor)
            raise SandboxError(f"sandbox was refused by the kernel: {answer['error']}", errno=answer["errno"])
        return answer, received

    async def _send(self, message: dict[str, Any], descriptors: list[int]) -> None:
        while self._control is not None:
            try:
                send(self._control, message, descriptors)
            except BlockingIOError:
                await asyncio.sleep(0.001)  # the broker is reading as fast as it can; its queue is full
            else:
                return

    def _receive(self) -> None:
        """Read everything that has arrived."""
        while self._control is not None:
            try:
                content, descriptors = receive(self._control)
            except BlockingIOError:
                return
            if not content:
                self._lose("it crashed")
                return
            self._handle(json.loads(content), descriptors)

    def _handle(self, message: dict[str, Any], descriptors: list[int]) -> None:
        if "exit" in message:
            child = self._children.pop(message["exit"], None)
            if child is not None:
                child.exited(message["code"])
        elif "id" in message:
            if "pid" in message:
                # Made here, not by the asker: the child may end before the asker's task runs again.
                message["child"] = self._children[message["pid"]] = Child(message["pid"])
            self._requests.pop(message["id"]).set_result((message, descriptors))
        elif self._ready is not None and not self._ready.done():
            if "failed" in message:
                text = f"sandbox broker could not make its namespaces (Refused): {message['failed']}"
                self._ready.set_exception(SandboxError(text))
            else:
                self._ready.set_result(None)

    def _lose(self, why: str) -> None:
        """The broker is gone: fail what waits for it."""
        control, self._control = self._control, None
        if control is None:
            return
        asyncio.get_running_loop().remove_reader(control)
        control.close()
        error = SandboxError(f"sandbox broker is gone (Lost): {why}")
        waiting: list[asyncio.Future[Any]] = list(self._requests.values())
        if self._ready is not None:
            waiting.append(self._ready)
        for future in waiting:
            if not future.done():
                future.set_exception(error)
                future.exception()  # whoever waits still sees it; nobody waiting is no warning
        self._requests.clear()
        children, self._children = self._children, {}
        for child in children.values():
            child.exited(KILLED)
        while self._spare:
            self._spare.popleft().close()
        if self._on_lost is not None and why != "closed":
            self._on_lost()


def _await_end(process: subprocess.Popen[bytes]) -> None:
    """Wait for a broker that has lost its agent: it kills what it forked, and ends."""
    try:
        process.wait(END_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _discard(future: asyncio.Future[tuple[dict[str, Any], list[int]]]) -> None:
    """The asker was cancelled: let go of what the broker made for it."""
    if future.cancelled() or future.exception() is not None:
        return
    answer, descriptors = future.result()
    for descriptor in descriptors:
        os.close(descriptor)
    if "child" in answer:
        answer["child"].kill_group()


def _adopt(descriptor: int) -> socket.socket:
    made = socket.socket(fileno=descriptor)
    made.setblocking(False)
    return made
