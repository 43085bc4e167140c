"""Where a path of a container leads in the merged layers of its image: links are followed inside the root, as a chroot
would, so that what bubblewrap gets holds no link of the image at all.

Bubblewrap itself would follow an image's link before it has changed the root, with the host at `/oldroot`: a hostile
image could have files and directories made there. `/proc` and `/dev` are the sandbox's own, and nothing of the image
counts below them. What lies inside volumes is `staging`'s.
"""

import os
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from towpath.cluster.node.sandbox.argv import Sandbox, check_text, is_below
from towpath.cluster.node.sandbox.launcher import SandboxError

# As the kernel does: more links than this in one path is a loop.
_MOST_LINKS = 40
_OWN = ("proc", "dev")
# Links that bubblewrap makes in its /dev; they lead into /proc, and from there anywhere.
_DEVICE_LINKS = frozenset({"fd", "stdin", "stdout", "stderr", "core", "ptmx"})


def settle_paths(sandbox: Sandbox) -> Sandbox:
    """The sandbox with every path settled in its layers. Raises SandboxError for one that cannot be; OSError."""
    for name in _OWN:
        if _look(list(reversed(sandbox.layers)), name)[0]:
            raise SandboxError(
                f"image is refused (LinkedRoot): its /{name} is a link, and that place is the sandbox's own"
            )
    mounts = []
    for mount in sandbox.mounts:
        destination = resolve_path(sandbox.layers, mount.destination)
        _check_mount_point(destination)
        mounts.append(replace(mount, destination=destination))
    return replace(
        sandbox,
        mounts=mounts,
        directory=resolve_path(sandbox.layers, sandbox.directory),
        temporary=resolve_path(sandbox.layers, sandbox.temporary),
    )


def resolve_path(layers: Sequence[str], path: str) -> str:
    """An absolute path without links, `.` and `..`; what does not exist is taken as it is written.

    Args:
        layers: root directories, lowest first, as they are stacked: without whiteouts.
        path: as a container would use it.

    Raises:
        SandboxError: it leads in a circle.
        OptionError: no path is spelled so.
        OSError: a layer could not be read.
    """
    top = list(reversed(layers))
    waiting = check_text(path).split("/")[::-1]
    reached: list[str] = []
    stacks = [top]  # for each component reached, the directories that are merged there
    links = 0
    while waiting:
        part = waiting.pop()
        if part in {"", "."}:
            continue
        if part == "..":
            if reached:
                reached.pop()
                stacks.pop()
            continue
        target, inner = _look(stacks[-1], part) if stacks[-1] else ("", [])
        if target:
            links += 1
            if links > _MOST_LINKS:
                raise SandboxError(f"path {path!r} is refused (LinkLoop): its links lead in a circle")
            if target.startswith("/"):
                reached, stacks = [], [top]
            waiting += target.split("/")[::-1]
            continue
        if not reached and part in _OWN:
            inner = []
        reached.append(part)
        stacks.append(inner)
    return "/" + "/".join(reached)


def _look(stack: list[str], part: str) -> tuple[str, list[str]]:
    """What a component is in merged directories (topmost first): a link's target, or the directories merged there."""
    found: list[str] = []
    for directory in stack:
        path = f"{directory}/{part}"
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            continue
        if stat.S_ISDIR(mode):
            found.append(path)
            continue
        if found:  # hidden by the directory above it, with all that is below
            break
        if not stat.S_ISLNK(mode):
            return "", []
        return str(Path(path).readlink()), []
    return "", found


def _check_mount_point(path: str) -> None:
    name = path.split("/")[2] if is_below(path, "/dev") and path != "/dev" else ""
    if path in {"/", "/dev"} or is_below(path, "/proc") or name in _DEVICE_LINKS:
        raise SandboxError(f"mount at {path} is refused (MountPoint): that place is the sandbox's own")
