"""The containers of one pod on this machine: from specification and image to a sandbox, and back to an end.

Satisfies `runner.Runtime`. Pure decisions are in `container_spec`, `environment` and `sandbox.argv`; this module
fetches what they need and makes what a run occupies. The run itself is `container_run`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from towpath.aio.clock import Clock
from towpath.cluster.node.image.catalogue import LocalImage
from towpath.cluster.node.image.layers import remove_tree
from towpath.cluster.node.image.store import ImageStore
from towpath.cluster.node.image.user import read_file, resolve_user
from towpath.cluster.node.network.ports import PodNetwork
from towpath.cluster.node.pod.container_run import ContainerRun, Holdings, Started
from towpath.cluster.node.pod.container_spec import (
    ContainerConfigError,
    apply_security,
    limits_of,
    security_of,
    stop_signal,
)
from towpath.cluster.node.pod.environment import Surroundings, resolve_command, resolve_environment
from towpath.cluster.node.pod.logs import LogFile
from towpath.cluster.node.pod.volumes import PodVolumes
from towpath.cluster.node.sandbox.argv import Mount, Sandbox
from towpath.cluster.node.sandbox.cgroups import Cgroups, prepare_rlimits
from towpath.cluster.node.sandbox.container import Container, Placement, start_container
from towpath.cluster.node.sandbox.isolation import Isolation, Mode
from towpath.cluster.node.sandbox.launcher import SandboxError
from towpath.cluster.node.sandbox.layer_paths import settle_paths
from towpath.cluster.node.sandbox.plain import start_plain
from towpath.kube.objects import Object, name_of, namespace_of, uid_of

TERMINATION_LOG = "/dev/termination-log"


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

    async def start(self, container: Object, image: LocalImage, *, restart_count: int) -> ContainerRun:
        """Start a container. Raises UserError (it cannot be configured), SandboxError, OSError."""
        name = container["name"]
        container = self._completed(container)
        env = resolve_environment(container, image.config, await self._surroundings())
        message_file = self._directory / "termination" / f"{name}.log"
        message_file.parent.mkdir(parents=True, exist_ok=True)
        message_file.write_bytes(b"")
        roots = await self._roots(container, image)
        sandbox = self._prepare_sandbox(container, image, env, roots, message_file)
        sandbox = replace(settle_paths(sandbox), stage=await self._stage(name))
        limits = limits_of(container)
        group = self._machine.cgroups.create(f"{uid_of(self._pod)}-{name}-{restart_count}", limits)
        log = self._open_log(name, restart_count)
        holdings = Holdings(log=log, group=group, memory_bytes=limits.memory_bytes, message_file=message_file)
        placement = Placement(
            network=self._network.namespace,
            cgroups=group.join_files if group else (),
            limits={} if group else prepare_rlimits(limits),
        )
        try:
            started = await self._launch(sandbox, placement, log)
        except BaseException:
            holdings.release()
            raise
        return ContainerRun(
            started,
            container,
            holdings,
            container_id=f"towpath://{self._machine.new_container_id()}",
            network=self._network,
            clock=self._machine.clock,
            env=sandbox.env,
            directory=sandbox.directory,
            stop=stop_signal(image.config.stop_signal),
        )

    async def _roots(self, container: Object, image: LocalImage) -> list[Path]:
        """The directories to stack, or the container's own copy where nothing can be stacked."""
        if self._machine.isolation.overlay:
            return await self._machine.images.roots(image)
        own = self._directory / "roots" / container["name"]
        await asyncio.to_thread(remove_tree, own)
        # Only a sandbox keeps a process from writing to a file that it shares with the image.
        shared = self._machine.isolation.mode is not Mode.PROCESS and _has_read_only_root(self._pod, container)
        await self._machine.images.copy_root(image, own, writable=not shared)
        return [own]

    async def _stage(self, name: str) -> str:
        """An empty directory of the container's, for mounts inside mounts."""
        stage = self._directory / "stage" / name
        await asyncio.to_thread(remove_tree, stage)
        stage.mkdir(parents=True)
        return str(stage)

    async def _launch(self, sandbox: Sandbox, placement: Placement, log: LogFile) -> Started:
        isolation, launcher = self._machine.isolation, self._network.launcher
        if isolation.mode is Mode.PROCESS:
            return await start_plain(launcher, sandbox, placement, log.feed)
        started = await start_container(launcher, isolation.bwrap, sandbox, placement, log.feed)
        try:
            await self._check_executed(started)
        except BaseException:
            started.kill()
            raise
        return started

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
        pod = f"{name_of(self._pod)}_{namespace_of(self._pod)}({uid_of(self._pod)})"
        who = f'(pod: "{pod}", container: {container["name"]})'
        user = apply_security(user, security, image_user=config.user, who=who)
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
            read_only_root=_has_read_only_root(self._pod, container),
            overlay=self._machine.isolation.overlay,
            nested_namespaces=not self._machine.isolation.lock,
        )

    @property
    def hostname(self) -> str:
        """`spec.hostname`, else the pod's name."""
        return str(self._pod["spec"].get("hostname") or name_of(self._pod))[:63]


def _has_read_only_root(pod: Object, container: Object) -> bool:
    return bool(security_of(pod, container).get("readOnlyRootFilesystem"))


def _describe_setup(error: str) -> str:
    """Bubblewrap's reason in the words of a container runtime."""
    head = "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed"
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
