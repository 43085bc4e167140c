"""How bubblewrap is called for one container (pure).

The options go through a file descriptor (`--args`), so that neither environment nor mounts show in the process list
and their size has no limit; only the command is on the command line. Which container this is, and what its image says,
is decided in `pod.container_spec`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

# The descriptors of the child: 1 and 2 are its output, 3 carries the options, 4 the status documents.
ARGUMENTS_DESCRIPTOR = 3
STATUS_DESCRIPTOR = 4
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Mount:
    """A host file or directory that shows at `destination`."""

    source: str
    destination: str
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """One container as the machine sees it. `layers` are root directories, lowest first."""

    layers: Sequence[str]
    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    directory: str = "/"
    uid: int = 0
    gid: int = 0
    hostname: str = "localhost"
    mounts: Sequence[Mount] = ()
    read_only_root: bool = False
    overlay: bool = True  # False: the one layer is this container's own copy and is written to


def prepare_argv(bwrap: str, sandbox: Sandbox) -> list[str]:
    """The command line; `prepare_options` goes to descriptor 3."""
    return [bwrap, "--args", str(ARGUMENTS_DESCRIPTOR), "--", *sandbox.command]


def prepare_options(sandbox: Sandbox) -> bytes:
    """The NUL-separated options of `--args`."""
    options = [
        *("--unshare-user", "--uid", str(sandbox.uid), "--gid", str(sandbox.gid)),
        *("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
        *("--hostname", sandbox.hostname),
        *("--die-with-parent", "--new-session", "--cap-drop", "ALL"),
        *("--json-status-fd", str(STATUS_DESCRIPTOR)),
        *_root_options(sandbox),
        *("--proc", "/proc", "--dev", "/dev"),
        *_temporary_options(sandbox),
    ]
    # A mount inside another comes after it, whatever the order of the volumeMounts.
    for mount in sorted(sandbox.mounts, key=lambda mount: len(PurePosixPath(mount.destination).parts)):
        options += ["--ro-bind" if mount.read_only else "--bind", mount.source, mount.destination]
    # A runtime makes the working directory when the image lacks it.
    options += ["--dir", sandbox.directory, "--chdir", sandbox.directory]
    if sandbox.read_only_root:
        options += ["--remount-ro", "/"]
    options.append("--clearenv")
    for name, value in {"PATH": DEFAULT_PATH, **sandbox.env}.items():
        options += ["--setenv", name, value]
    return b"".join(option.encode(errors="surrogateescape") + b"\0" for option in options)


def _root_options(sandbox: Sandbox) -> list[str]:
    if not sandbox.overlay:
        return ["--bind", sandbox.layers[0], "/"]
    sources = [option for layer in sandbox.layers for option in ("--overlay-src", layer)]
    return [*sources, "--tmp-overlay", "/"]


def _temporary_options(sandbox: Sandbox) -> list[str]:
    if sandbox.read_only_root or any(mount.destination == "/tmp" for mount in sandbox.mounts):  # noqa: S108 - the pod's
        return []
    # Made if the image lacks it; what the image has there stays. Writes go to the overlay like all others.
    return ["--perms", "1777", "--dir", "/tmp"]  # noqa: S108 - the pod's
