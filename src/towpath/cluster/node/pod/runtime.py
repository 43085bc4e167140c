"""The containers of one pod on this machine: from specification and image to a sandbox, and back to an end.

Satisfies `runner.Runtime`. Pure decisions are in `container_spec`, `environment` and `sandbox.argv`; this module
fetches what they need and holds what a run occupies: its log, its control group, its termination message.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from towpath.aio.clock import Clock
from towpath.cluster.node.image.catalogue import LocalImage
from towpath.cluster.node.image.store import ImageStore
from towpath.cluster.node.image.user import read_file, resolve_user
from towpath.cluster.node.network.ports import PodNetwork
from towpath.cluster.node.pod.container_spec import (
    ContainerConfigError,
    apply_security,
    limits_of,
    security_of,
    stop_signal,
)
from towpath.cluster.node.pod.environment import Surroundings, resolve_command, resolve_environment
from towpath.cluster.node.pod.logs import LogFile
from towpath.cluster.node.pod.probe_actions import Outcome, make_action
from towpath.cluster.node.pod.runner import Ended
from towpath.cluster.node.pod.volumes import PodVolumes
from towpath.cluster.node.sandbox.argv import Mount, Sandbox
from towpath.cluster.node.sandbox.cgroups import Cgroups, Group, Limits, prepare_rlimits
from towpath.cluster.node.sandbox.container import Container, Exit, Placement, start_container
from towpath.cluster.node.sandbox.isolation import Isolation
from towpath.cluster.node.sandbox.launcher import KILLED, SandboxError, Spawn
from towpath.cluster.node.sandbox.processes import resident_bytes
from towpath.kube.objects import Object, name_of, uid_of

TERMINATION_LOG = "/dev/termination-log"
# The kubelet's limits: of the message file, and of the log's tail when a failed container left none.
MESSAGE_BYTES = 4096
FALLBACK_BYTES, FALLBACK_LINES = 2048, 80
# A look at resident memory costs some 20 microseconds a process.
MEMORY_LOOK_SECONDS = 1.0
# What a probe's command may say.
EXEC_OUTPUT_BYTES = 10 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What all pods of this node share."""

    isolation: Isolation
    cgroups: Cgroups
    images: ImageStore
    clock: Clock
    new_container_id: Callable[[], str]


class PodRuntime:
    """Starts the containers of one pod."""

    def __init__(
        self,
        pod: Object,
        machine: Machine,
        *,
        directory: Path,
        logs: Path,
        network: PodNetwork,
        volumes: PodVolumes,
        surroundings: Callable[[], Awaitable[Surroundings]],
    ) -> None:
        """Remember the parts.

        Args:
            pod: its specification.
            machine: what all pods share.
            directory: of this pod, for small files.
            logs: where its log files go.
            network: its place in the network.
            volumes: prepared volumes.
            surroundings: reads what environments refer to.
        """
        self._pod = pod
        self._machine = machine
        self._directory = directory
        self._logs = logs
        self._network = network
        self._volumes = volumes
        self._surroundings = surroundings
        self._open_logs: dict[str, LogFile] = {}

    def find_open_log(self, container: str) -> LogFile | None:
        """The log of a container's present run."""
        return self._open_logs.get(container)

    async def start(self, container: Object, image: LocalImage, *, restart_count: int) -> "SandboxRun":
        """Start a container. Raises UserError (it cannot be configured), SandboxError, OSError."""
        name = container["name"]
        container = self._completed(container)
        env = resolve_environment(container, image.config, await self._surroundings())
        roots = await self._machine.images.roots(image)
        message_file = self._directory / "termination" / f"{name}.log"
        message_file.parent.mkdir(parents=True, exist_ok=True)
        message_file.write_bytes(b"")
        sandbox = self._prepare_sandbox(container, image, env, roots, message_file)
        limits = limits_of(container)
        group = self._machine.cgroups.create(f"{uid_of(self._pod)}-{name}-{restart_count}", limits)
        log = self._open_log(name, restart_count)
        placement = Placement(
            network=self._network.namespace,
            cgroups=group.join_files if group else (),
            limits={} if group else prepare_rlimits(limits),
        )
        try:
            started = await start_container(
                self._network.launcher, self._machine.isolation.bwrap, sandbox, placement, log.feed
            )
        except BaseException:
            log.close()
            if group:
                group.remove()
            raise
        try:
            await self._check_executed(started)
        except BaseException:
            started.kill()
            log.close()
            if group:
                group.remove()
            raise
        return SandboxRun(
            started,
            container,
            machine=self._machine,
            network=self._network,
            env=env,
            directory=sandbox.directory,
            stop=stop_signal(image.config.stop_signal),
            limits=limits,
            group=group,
            log=log,
            message_file=message_file,
        )

    async def _check_executed(self, started: Container) -> None:
        """Wait until the command runs. Raises SandboxError when it could not be executed."""
        await started.wait_executed(self._machine.clock.sleep)
        if started.has_exited():
            ended = await started.wait()
            if ended.setup_error:
                raise SandboxError(_describe_setup(ended.setup_error))

    def close(self) -> None:
        """Close logs that are still open."""
        for log in self._open_logs.values():
            log.close()

    def _completed(self, container: Object) -> Object:
        """The container as this pod has it: with the mounts that were added for its service account."""
        spec = self._pod["spec"]
        known = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
        return next((one for one in known if one["name"] == container["name"]), container)

    def _open_log(self, name: str, restart_count: int) -> LogFile:
        log = LogFile(self._logs / name / f"{restart_count}.log")
        self._open_logs[name] = log
        for path in log.path.parent.glob("*.log*"):
            number = path.name.partition(".")[0]
            # The run before the last is all that `--previous` can ask for.
            if number.isdecimal() and int(number) < restart_count - 1:
                path.unlink(missing_ok=True)
        return log

    def _prepare_sandbox(
        self, container: Object, image: LocalImage, env: Mapping[str, str], roots: list[Path], message_file: Path
    ) -> Sandbox:
        config = image.config
        command = resolve_command(container, config, env)
        if not command:
            raise ContainerConfigError("no command specified")
        security = security_of(self._pod, container)
        user = resolve_user(config.user, passwd=read_file(roots, "etc/passwd"), group=read_file(roots, "etc/group"))
        user = apply_security(user, security, image_user=config.user)
        message_path = container.get("terminationMessagePath") or TERMINATION_LOG
        return Sandbox(
            layers=[str(root) for root in roots],
            command=command,
            env={"HOSTNAME": self.hostname, "HOME": user.home, **env},
            directory=container.get("workingDir") or config.working_dir or "/",
            uid=user.uid,
            gid=user.gid,
            hostname=self.hostname,
            mounts=[
                *self._network.mounts,
                *self._volumes.mounts(container, env),
                Mount(str(message_file), message_path),
            ],
            read_only_root=bool(security.get("readOnlyRootFilesystem")),
        )

    @property
    def hostname(self) -> str:
        """`spec.hostname`, else the pod's name."""
        return str(self._pod["spec"].get("hostname") or name_of(self._pod))[:63]


class SandboxRun:
    """One run of a container. Satisfies `runner.Run` and `probe_actions.ProbeTarget`."""

    def __init__(
        self,
        started: Container,
        container: Object,
        *,
        machine: Machine,
        network: PodNetwork,
        env: Mapping[str, str],
        directory: str,
        stop: int,
        limits: Limits,
        group: Group | None,
        log: LogFile,
        message_file: Path,
    ) -> None:
        """Take over a started container, its log and its control group."""
        self.container_id = f"towpath://{machine.new_container_id()}"
        self._started = started
        self._container = container
        self._machine = machine
        self._network = network
        self._env = env
        self._directory = directory
        self._stop_signal = stop
        self._group = group
        self._log = log
        self._message_file = message_file
        self._oom_killed = False
        watched = limits.memory_bytes if group is None else 0
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
        await self._started.stop(
            signal_number=self._stop_signal, grace_seconds=grace_seconds, sleep=self._machine.clock.sleep
        )
        await self.wait()

    def look(self, probe: Object, *, timeout_seconds: float) -> Callable[[], Awaitable[Outcome]]:
        """What a probe of this container does once."""
        return make_action(probe, self._container, self, timeout_seconds=timeout_seconds)

    async def connect(self, host: str, port: int) -> socket.socket:
        """A connected TCP socket, made in the pod's network. Raises OSError."""
        return await self._network.connect(host, port)

    async def execute(self, command: Sequence[str], *, timeout_seconds: float) -> tuple[int, str]:
        """Run a command in the container; exit code and output. Raises TimeoutError, SandboxError."""
        pids = self._started.payload_pids
        if not pids:
            raise SandboxError(f"container {self._container.get('name')} is not running (Ended)")
        output, end = os.pipe2(os.O_CLOEXEC)
        try:
            child = await self._network.launcher.spawn(
                Spawn(
                    argv=command,
                    stdout=end,
                    stderr=end,
                    env=self._env,
                    join=pids[0],
                    directory=self._directory,
                    network="",
                )
            )
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
        killed_by_kernel = ended.code == KILLED and self._group is not None and self._group.oom_kills() > 0
        self._log.close()
        if self._group is not None:
            self._group.remove()
        return Ended(
            exit_code=ended.code,
            oom_killed=killed_by_kernel or self._oom_killed,
            message=self._termination_message(ended),
        )

    def _termination_message(self, ended: Exit) -> str:
        with contextlib.suppress(OSError):
            with self._message_file.open("rb") as file:  # the container may have written gigabytes
                content = file.read(MESSAGE_BYTES)
            if content:
                return content.decode(errors="replace")
        if ended.code and self._container.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            return self._log.tail(FALLBACK_LINES, FALLBACK_BYTES)
        return ""

    async def _watch_memory(self, limit: int) -> None:
        """Stand in for a control group: kill a container that holds more than its limit."""
        while not self._started.has_exited():
            await self._machine.clock.sleep(MEMORY_LOOK_SECONDS)
            if any(resident_bytes(pid) > limit for pid in self._started.payload_pids):
                self._oom_killed = True
                self._started.kill()
                return


def _describe_setup(error: str) -> str:
    """Bubblewrap's reason in the words of a container runtime."""
    head = "failed to create containerd task: failed to create shim task: OCI runtime create failed"
    command, _, reason = error.removeprefix("execvp ").rpartition(": ")
    if not error.startswith("execvp "):
        return f"{head}: unable to start container process: {error}"
    if reason == "No such file or directory":
        reason = "no such file or directory" if "/" in command else "executable file not found in $PATH"
        kind = "exec" if "/" not in command else "stat"
    else:
        reason, kind = reason.lower(), "exec"
    prefix = f'{kind}: "{command}"' if kind == "exec" else f'exec: "{command}": stat {command}'
    return f"{head}: unable to start container process: {prefix}: {reason}: unknown"


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
