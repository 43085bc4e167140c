"""How bubblewrap is called for one container (pure).

The options go through a file descriptor (`--args`), so that neither environment nor mounts show in the process list
and their size has no limit; only the command is on the command line. Which container this is, and what its image says,
is decided in `pod.container_spec`. Bubblewrap follows links, with the host in reach: paths come here from `layer_paths`
and `staging`, which leave none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from towpath.errors import UserError

# The descriptors of the child: 1 and 2 are its output, 3 carries the options, 4 the status documents.
ARGUMENTS_DESCRIPTOR = 3
STATUS_DESCRIPTOR = 4
# What bubblewrap mounts itself, and where it must make nothing.
_OWN = ("/proc", "/dev")
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Mount:
    """A host file or directory that shows at `destination`."""

    source: str
    destination: str
    read_only: bool = False
    inner: str = ""  # a part of `source`, which containers write to

    @property
    def path(self) -> str:
        """What is shown, by its name on the host."""
        return f"{self.source}/{self.inner}" if self.inner else self.source


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
    temporary: str = "/tmp"  # noqa: S108 - the pod's
    stage: str = ""  # a directory of its own, where mounts inside mounts are put together
    nested_namespaces: bool = True  # False: programs inside may make no user namespaces


class OptionError(UserError):
    """Something of a container's configuration cannot be handed to bubblewrap."""


def is_below(path: str, top: str) -> bool:
    """Whether a settled path is another one, or inside of it."""
    return path == top or path.startswith(f"{top.rstrip('/')}/")


def prepare_argv(bwrap: str, sandbox: Sandbox) -> list[str]:
    """The command line; `prepare_options` goes to descriptor 3."""
    return [bwrap, "--args", str(ARGUMENTS_DESCRIPTOR), "--", *sandbox.command]


def prepare_options(sandbox: Sandbox) -> bytes:
    """The NUL-separated options of `--args`. Raises OptionError for a text that would be more than one option."""
    options = [
        *([] if sandbox.nested_namespaces else ["--disable-userns"]),
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
    # A runtime makes the working directory when the image lacks it; in a volume `staging` does.
    if not any(
        is_below(sandbox.directory, place) for place in (*_OWN, *(mount.destination for mount in sandbox.mounts))
    ):
        options += ["--dir", sandbox.directory]
    options += ["--chdir", sandbox.directory]
    if sandbox.read_only_root:
        options += ["--remount-ro", "/"]
    options.append("--clearenv")
    for name, value in {"PATH": DEFAULT_PATH, **sandbox.env}.items():
        options += ["--setenv", name, value]
    return b"".join(check_text(option).encode(errors="surrogateescape") + b"\0" for option in options)


def check_text(text: str) -> str:
    """A text of an image or a pod. Raises OptionError if what comes behind a NUL in it would be taken as options."""
    if "\0" in text:
        raise OptionError(
            f"container setting {text[:80]!r} is refused (NulCharacter): no path or variable can hold one"
        )
    return text


def _root_options(sandbox: Sandbox) -> list[str]:
    if not sandbox.overlay:
        return ["--bind", sandbox.layers[0], "/"]
    sources = [option for layer in sandbox.layers for option in ("--overlay-src", layer)]
    return [*sources, "--tmp-overlay", "/"]


def _temporary_options(sandbox: Sandbox) -> list[str]:
    place = sandbox.temporary
    if sandbox.read_only_root or any(is_below(place, top) for top in (*_OWN, *(m.destination for m in sandbox.mounts))):
        return []
    # Made if the image lacks it; what the image has there stays. Writes go to the overlay like all others.
    return ["--perms", "1777", "--dir", place]
