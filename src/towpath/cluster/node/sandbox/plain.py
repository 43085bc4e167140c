"""A container as an ordinary process, for machines that allow no sandbox at all.

There is no wall: the process sees the host, as the user who runs the platform. What can be kept up is: its own copy of
the image's files with its volumes linked into it, its command, environment and working directory with paths that lie in
the image pointed there, its log, its limits and its stop. A program that opens an absolute path of its own making
looks on the host; `TOWPATH_ROOT` tells it where its files are.
"""

import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from towpath.cluster.node.image.layers import remove_tree
from towpath.cluster.node.sandbox.argv import DEFAULT_PATH, Sandbox
from towpath.cluster.node.sandbox.container import Exit, OutputPump, Placement, stop_gracefully
from towpath.cluster.node.sandbox.launcher import Child, Launcher, SandboxError, Spawn

ROOT_VARIABLE = "TOWPATH_ROOT"

Exists = Callable[[str], bool]


def prepare_plain(sandbox: Sandbox, *, exists: Exists) -> Sandbox:
    """The same container with every path that lies in its root pointed there (pure).

    Args:
        sandbox: its one layer is the container's own root.
        exists: whether a path of the host exists.

    Raises:
        SandboxError: the command is not there.
    """
    root = sandbox.layers[0]
    env = {name: _point_list(value, root, exists) for name, value in {"PATH": DEFAULT_PATH, **sandbox.env}.items()}
    env[ROOT_VARIABLE] = root
    program = _find_program(sandbox.command[0], env["PATH"], root, exists)
    arguments = [_point(argument, root, exists) for argument in sandbox.command[1:]]
    directory = f"{root}{sandbox.directory}" if sandbox.directory != "/" else root
    return replace(sandbox, command=[program, *arguments], env=env, directory=directory)


class PlainProcess:
    """A running process with everything of its session; `wait` for its end, `stop` it."""

    def __init__(self, child: Child, pump: OutputPump, root: str) -> None:
        self._child = child
        self._pump = pump
        self._root = root

    @property
    def payload_pids(self) -> list[int]:
        """The process, while it runs."""
        return [] if self._child.has_exited() else [self._child.pid]

    async def wait(self) -> Exit:
        """Wait for its end, with its output taken."""
        code = await self._child.wait()
        self.kill()  # what it left behind in its session would hold the output open
        await self._pump.drained()
        return Exit(code)

    async def stop(
        self, *, signal_number: int, grace_seconds: float, sleep: Callable[[float], Awaitable[None]]
    ) -> Exit:
        """Ask it to end, kill what is left after the grace period, and wait."""
        if grace_seconds > 0 and not self._child.has_exited():
            self._signal(signal_number)
            await stop_gracefully(self._child, grace_seconds, sleep)
        self.kill()
        return await self.wait()

    def kill(self) -> None:
        """End it and everything of its session at once."""
        self._signal(signal.SIGKILL)

    def prepare_exec(self, command: Sequence[str], *, env: Mapping[str, str], directory: str, output: int) -> Spawn:
        """How a command is run beside it. Raises SandboxError."""
        plan = prepare_plain(
            Sandbox(layers=[self._root], command=command, env=env, directory=directory), exists=os.path.exists
        )
        return Spawn(argv=plan.command, stdout=output, stderr=output, env=plan.env, directory=plan.directory)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, number)


async def start_plain(
    launcher: Launcher, sandbox: Sandbox, placement: Placement, sink: Callable[[bytes], None]
) -> PlainProcess:
    """Start a container as a process; its root is linked with its volumes. Raises SandboxError, OSError."""
    root = Path(sandbox.layers[0])
    link_mounts(sandbox, root)
    plan = prepare_plain(sandbox, exists=os.path.exists)
    Path(plan.directory).mkdir(parents=True, exist_ok=True)
    output, end = os.pipe2(os.O_CLOEXEC)
    try:
        child = await launcher.spawn(
            Spawn(
                argv=plan.command,
                stdout=end,
                stderr=end,
                env=plan.env,
                directory=plan.directory,
                cgroups=placement.cgroups,
                limits=placement.limits,
            )
        )
    except BaseException:
        os.close(output)
        raise
    finally:
        os.close(end)
    return PlainProcess(child, OutputPump(output, sink), str(root))


def link_mounts(sandbox: Sandbox, root: Path) -> None:
    """Show every volume at its place in the root by a link. Raises OSError."""
    for mount in sorted(sandbox.mounts, key=lambda mount: len(mount.destination)):
        place = root / mount.destination.lstrip("/")
        if any(parent.is_symlink() for parent in place.parents if root in parent.parents):
            continue  # inside another volume: a link there would show in every container that has it
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.is_dir() and not place.is_symlink():
            remove_tree(place)
        else:
            place.unlink(missing_ok=True)
        place.symlink_to(mount.path)


def _find_program(name: str, search: str, root: str, exists: Exists) -> str:
    if "/" in name:
        pointed = _point(name, root, exists)
        if not name.startswith("/") or exists(pointed):
            return pointed
        raise SandboxError(f'exec: "{name}": stat {name}: no such file or directory')
    for directory in search.split(":"):
        if exists(f"{directory}/{name}"):
            return f"{directory}/{name}"
    raise SandboxError(f'exec: "{name}": executable file not found in $PATH')


def _point(text: str, root: str, exists: Exists) -> str:
    """A path of the image as a path of the host; any other text as it is."""
    return f"{root}{text}" if text.startswith("/") and exists(f"{root}{text}") else text


def _point_list(text: str, root: str, exists: Exists) -> str:
    return ":".join(_point(part, root, exists) for part in text.split(":"))
