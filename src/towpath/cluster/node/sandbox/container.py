"""One running container: bubblewrap, the pipe of its output, and the status documents that bubblewrap writes.

A signal sent to bubblewrap itself would kill the sandbox hard, so a graceful stop goes to the payload: the children of
the sandbox's first process, whose pid comes with the first status document. Killing that first process ends everything
in the sandbox, because it is init of the pid namespace.
"""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from towpath.cluster.node.sandbox.argv import Sandbox, prepare_argv, prepare_options
from towpath.cluster.node.sandbox.launcher import KILLED, Child, Launcher, SandboxError, Spawn
from towpath.cluster.node.sandbox.processes import find_children, find_name
from towpath.cluster.node.sandbox.staging import plan_staging

# 64 KiB: the size of a pipe, so one read empties it.
READ_BYTES = 64 * 1024
# Output that a setup failure of bubblewrap can have: one line.
_REMEMBERED_BYTES = 1024
_SETUP_PREFIX = b"bwrap: "
SETUP_PROGRAM = "bwrap"
# 2 ms: a tenth of what an interpreter takes to start, so nothing waits for this look.
EXECUTED_POLL_SECONDS = 0.002


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container ended. `setup_error` is bubblewrap's reason when the command never ran."""

    code: int
    setup_error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where on this machine a container runs."""

    network: str = ""  # the pod whose network namespace it joins; "" for the launcher's own
    cgroups: Sequence[str] = ()
    limits: Mapping[str, int] = field(default_factory=dict)


class StatusReader:
    """Collects the status documents of bubblewrap, which may arrive in pieces."""

    def __init__(self) -> None:
        self._rest = b""
        self.init_pid = 0
        self.exit_code: int | None = None

    def feed(self, content: bytes) -> None:
        """Take the next bytes; a torn document waits for its rest."""
        *lines, self._rest = (self._rest + content).split(b"\n")
        for line in filter(None, lines):
            document = json.loads(line)
            self.init_pid = document.get("child-pid", self.init_pid)
            self.exit_code = document.get("exit-code", self.exit_code)


class OutputPump:
    """Takes what comes out of a pipe, until its other end is closed."""

    def __init__(self, descriptor: int, sink: Callable[[bytes], None]) -> None:
        """Take over the reading end."""
        self._descriptor = descriptor
        self._sink = sink
        loop = asyncio.get_running_loop()
        self._drained: asyncio.Future[None] = loop.create_future()
        os.set_blocking(descriptor, False)
        loop.add_reader(descriptor, self._take)

    async def drained(self) -> None:
        """Wait for the end."""
        await asyncio.shield(self._drained)

    def _take(self) -> None:
        try:
            content = os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return
        if content:
            self._sink(content)
            return
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        if not self._drained.done():
            self._drained.set_result(None)


class Container:
    """A started container; `wait` for its end, `stop` it."""

    def __init__(self, child: Child, *, output: int, status: int, sink: Callable[[bytes], None]) -> None:
        self._child = child
        self._sink = sink
        self._status = StatusReader()
        self._head = b""
        self._pumps = (OutputPump(output, self._take_output), OutputPump(status, self._status.feed))

    @property
    def pid(self) -> int:
        """The host's pid of the sandbox process; its id for people."""
        return self._child.pid

    @property
    def payload_pids(self) -> list[int]:
        """The host's pids of what runs directly under the sandbox's init; empty before and after."""
        return find_children(self._status.init_pid) if self._status.init_pid else []

    @property
    def init_pid(self) -> int:
        """The host's pid of the sandbox's first process; 0 before there is one."""
        return self._status.init_pid

    def has_exited(self) -> bool:
        """Whether it has ended."""
        return self._child.has_exited()

    async def wait_executed(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Wait until the command runs, or the sandbox has ended without it."""
        while not self.has_exited():
            if any(find_name(pid) not in {"", SETUP_PROGRAM} for pid in self.payload_pids):
                return
            await sleep(EXECUTED_POLL_SECONDS)

    async def wait(self) -> Exit:
        """Wait for its end, with all its output taken."""
        code = await self._child.wait()
        for pump in self._pumps:
            await pump.drained()
        if self._status.exit_code is None and self._head.startswith(_SETUP_PREFIX) and code != KILLED:
            return Exit(code, self._head.removeprefix(_SETUP_PREFIX).decode(errors="replace").strip())
        return Exit(code if self._status.exit_code is None else self._status.exit_code)

    def signal(self, number: int) -> None:
        """Send a signal to the payload."""
        for pid in self.payload_pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)

    def kill(self) -> None:
        """End everything in the sandbox at once."""
        if self.has_exited():
            return
        if self._status.init_pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self._status.init_pid, signal.SIGKILL)
        else:
            self._child.kill_group()

    async def stop(
        self, *, signal_number: int, grace_seconds: float, sleep: Callable[[float], Awaitable[None]]
    ) -> Exit:
        """Ask the payload to end, kill what is left after the grace period, and wait.

        Args:
            signal_number: what the image wants to be sent.
            grace_seconds: how long it may take.
            sleep: the clock's.
        """
        if grace_seconds > 0:
            self.signal(signal_number)
            await stop_gracefully(self._child, grace_seconds, sleep)
        self.kill()
        return await self.wait()

    def prepare_exec(self, command: Sequence[str], *, env: Mapping[str, str], directory: str, output: int) -> Spawn:
        """How a command is run inside the sandbox. Raises SandboxError when it does not run any more."""
        pids = self.payload_pids
        if not pids:
            raise SandboxError("container is not running (Ended)")
        return Spawn(argv=command, stdout=output, stderr=output, env=env, join=pids[0], directory=directory)

    def _take_output(self, content: bytes) -> None:
        if len(self._head) < _REMEMBERED_BYTES:
            self._head += content[: _REMEMBERED_BYTES - len(self._head)]
        self._sink(content)


async def start_container(
    launcher: Launcher, bwrap: str, sandbox: Sandbox, placement: Placement, sink: Callable[[bytes], None]
) -> Container:
    """Start a container; its output goes to `sink` as it arrives. Raises SandboxError."""
    opened: list[int] = []
    try:
        output, output_end = os.pipe2(os.O_CLOEXEC)
        opened += [output, output_end]
        status, status_end = os.pipe2(os.O_CLOEXEC)
        opened += [status, status_end]
        options = os.memfd_create("options", os.MFD_CLOEXEC)
        opened.append(options)
        staged, steps = plan_staging(sandbox)
        os.write(options, prepare_options(staged))
        os.lseek(options, 0, os.SEEK_SET)
        child = await launcher.spawn(
            Spawn(
                argv=prepare_argv(bwrap, sandbox),
                stdout=output_end,
                stderr=output_end,
                passed=(options, status_end),
                network=placement.network,
                cgroups=placement.cgroups,
                limits=placement.limits,
                stage=[asdict(step) for step in steps],
            )
        )
        opened.remove(output)
        opened.remove(status)
    except OSError as error:
        raise SandboxError(f"container could not be started: {error}", errno=error.errno or 0) from error
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return Container(child, output=output, status=status, sink=sink)


async def stop_gracefully(child: Child, grace_seconds: float, sleep: Callable[[float], Awaitable[None]]) -> None:
    """Wait for a child that was asked to end, at most the grace period."""
    ended = asyncio.ensure_future(child.wait())
    timer = asyncio.ensure_future(sleep(grace_seconds))
    try:
        await asyncio.wait({ended, timer}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended.cancel()
        timer.cancel()
