"""One run of a container: its end, its stop, its probes, and what it occupies meanwhile.

Satisfies `runner.Run` and `probe_actions.ProbeTarget`. A run holds a log, a control group (or, in its place, a watch
over its memory) and a termination message; how it was started is `runtime`'s business.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from towpath.aio.clock import Clock
from towpath.cluster.node.network.ports import PodNetwork
from towpath.cluster.node.pod.logs import LogFile
from towpath.cluster.node.pod.probe_actions import Outcome, make_action
from towpath.cluster.node.pod.runner import Ended
from towpath.cluster.node.sandbox.cgroups import Group
from towpath.cluster.node.sandbox.container import Exit
from towpath.cluster.node.sandbox.launcher import KILLED, Spawn
from towpath.cluster.node.sandbox.processes import resident_bytes
from towpath.kube.objects import Object

# The kubelet's limits: of the message file, and of the log's tail when a failed container left none.
MESSAGE_BYTES = 4096
FALLBACK_BYTES, FALLBACK_LINES = 2048, 80
# A look at resident memory costs some 20 microseconds a process.
MEMORY_LOOK_SECONDS = 1.0
# What a probe's command may say.
EXEC_OUTPUT_BYTES = 10 * 1024


class Started(Protocol):
    """A container the machine has started: `sandbox.container.Container` or `sandbox.plain.PlainProcess`."""

    @property
    def payload_pids(self) -> list[int]:
        """The host's pids of what runs directly in it."""
        ...

    async def wait(self) -> Exit:
        """Wait for its end, with all its output taken."""
        ...

    async def stop(
        self, *, signal_number: int, grace_seconds: float, sleep: Callable[[float], Awaitable[None]]
    ) -> Exit:
        """Ask it to end, kill it after the grace period, and wait."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...

    def prepare_exec(self, command: Sequence[str], *, env: Mapping[str, str], directory: str, output: int) -> Spawn:
        """How a command is run inside of it. Raises SandboxError when it does not run any more."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What a run occupies until its end."""

    log: LogFile
    group: Group | None
    memory_bytes: int  # watched when there is no group; 0 for no limit
    message_file: Path

    def release(self) -> None:
        """Give back what the end of the run does not need."""
        self.log.close()
        if self.group is not None:
            self.group.remove()


class ContainerRun:
    """One run of a container. Satisfies `runner.Run` and `probe_actions.ProbeTarget`."""

    def __init__(
        self,
        started: Started,
        container: Object,
        holdings: Holdings,
        *,
        container_id: str,
        network: PodNetwork,
        clock: Clock,
        env: Mapping[str, str],
        directory: str,
        stop: int,
    ) -> None:
        """Take over a started container and what it occupies.

        Args:
            started: the container.
            container: its specification.
            holdings: what it occupies.
            container_id: `towpath://…`.
            network: its pod's.
            clock: waiting.
            env: its environment, for commands run in it.
            directory: its working directory, likewise.
            stop: the signal that asks it to end.
        """
        self.container_id = container_id
        self._started = started
        self._container = container
        self._holdings = holdings
        self._network = network
        self._clock = clock
        self._env = env
        self._directory = directory
        self._stop_signal = stop
        self._oom_killed = False
        watched = holdings.memory_bytes if holdings.group is None else 0
        self._watch = asyncio.create_task(self._watch_memory(watched)) if watched else None
        self._end = asyncio.create_task(self._finish(), name=f"end of {container.get('name')}")

    @property
    def address(self) -> str:
        """The pod's IP."""
        return self._network.address

    async def wait(self) -> Ended:
        """Wait for its end."""
        return await asyncio.shield(self._end)

    async def stop(self, grace_seconds: float) -> None:
        """Ask it to end, kill it after the grace period."""
        await self._started.stop(signal_number=self._stop_signal, grace_seconds=grace_seconds, sleep=self._clock.sleep)
        await self.wait()

    def look(self, probe: Object, *, timeout_seconds: float) -> Callable[[], Awaitable[Outcome]]:
        """What a probe of this container does once."""
        return make_action(probe, self._container, self, timeout_seconds=timeout_seconds)

    async def connect(self, host: str, port: int) -> socket.socket:
        """A connected TCP socket, made in the pod's network. Raises OSError."""
        return await self._network.connect(host, port)

    async def execute(self, command: Sequence[str], *, timeout_seconds: float) -> tuple[int, str]:
        """Run a command in the container; exit code and output. Raises TimeoutError, SandboxError."""
        output, end = os.pipe2(os.O_CLOEXEC)
        try:
            request = self._started.prepare_exec(command, env=self._env, directory=self._directory, output=end)
            child = await self._network.launcher.spawn(request)
        except BaseException:
            os.close(output)
            raise
        finally:
            os.close(end)
        reading = asyncio.create_task(_read_all(output))
        try:
            async with asyncio.timeout(timeout_seconds):
                code = await child.wait()
                return code, (await reading).decode(errors="replace")
        finally:
            child.kill_group()
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading

    async def _finish(self) -> Ended:
        ended = await self._started.wait()
        if self._watch is not None:
            self._watch.cancel()
        group = self._holdings.group
        killed_by_kernel = ended.code == KILLED and group is not None and group.oom_kills() > 0
        self._holdings.release()
        return Ended(
            exit_code=ended.code,
            oom_killed=killed_by_kernel or self._oom_killed,
            message=self._termination_message(ended),
        )

    def _termination_message(self, ended: Exit) -> str:
        with contextlib.suppress(OSError):
            with self._holdings.message_file.open("rb") as file:  # the container may have written gigabytes
                content = file.read(MESSAGE_BYTES)
            if content:
                return content.decode(errors="replace")
        if ended.code and self._container.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            return self._holdings.log.tail(FALLBACK_LINES, FALLBACK_BYTES)
        return ""

    async def _watch_memory(self, limit: int) -> None:
        """Stand in for a control group: kill a container that holds more than its limit."""
        while not self._oom_killed:
            await self._clock.sleep(MEMORY_LOOK_SECONDS)
            if any(resident_bytes(pid) > limit for pid in self._started.payload_pids):
                self._oom_killed = True
                self._started.kill()
                return


async def _read_all(descriptor: int) -> bytes:
    """Everything from a pipe, up to what a message may hold; closes it."""
    loop = asyncio.get_running_loop()
    os.set_blocking(descriptor, False)
    content = bytearray()
    done: asyncio.Future[None] = loop.create_future()

    def read() -> None:
        with contextlib.suppress(BlockingIOError):
            chunk = os.read(descriptor, EXEC_OUTPUT_BYTES)
            content.extend(chunk[: EXEC_OUTPUT_BYTES - len(content)])
            if not chunk and not done.done():
                done.set_result(None)

    loop.add_reader(descriptor, read)
    try:
        await done
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    return bytes(content)
