"""The kernel calls behind a sandbox that Python 3.11 does not offer: unshare, setns, prctl, mount.

Only the broker process uses them: it is single-threaded, which `setns` and `unshare` of a user namespace demand. All
raise OSError. Standard library only, see `broker`.
"""

import ctypes
import os
from collections.abc import Sequence

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

_MS_RDONLY = 1
_MS_REMOUNT = 32
_MS_BIND = 4096
_MS_REC = 16384
_MS_PRIVATE = 1 << 18
_MS_RELATIME = 1 << 21
# What a mount may have been made with elsewhere and a remount here must repeat: nosuid, nodev, noexec, noatime,
# nodiratime, by the same numbers in statvfs and mount; relatime has two.
_KEPT_FLAGS = 2 | 4 | 8 | 1024 | 2048
_ST_RELATIME = 4096

_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
# Capabilities are numbered from 0; the kernel refuses numbers it does not know, and no kernel knows 64.
_CAPABILITIES = range(64)

# The user namespace comes last: after joining it, the rights over the namespaces that its parent owns are gone.
JOINED = (
    ("mnt", CLONE_NEWNS),
    ("pid", CLONE_NEWPID),
    ("net", CLONE_NEWNET),
    ("ipc", CLONE_NEWIPC),
    ("uts", CLONE_NEWUTS),
    ("user", CLONE_NEWUSER),
)

_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """Move this process into new namespaces."""
    _check(_libc.unshare(flags))


def setns(descriptor: int, kind: int = 0) -> None:
    """Move this process into the namespace behind a file descriptor."""
    _check(_libc.setns(descriptor, kind))


def die_with_parent(signal_number: int) -> None:
    """Be sent a signal when the parent ends, however it ends."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0))


def adopt_orphans() -> None:
    """Become the parent of every descendant that loses its own."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


def drop_privileges() -> None:
    """Make sure that a program executed from here gains no capability, whatever its file or user says."""
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    for capability in _CAPABILITIES:
        if _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0):
            return


def become_root_of_new_user_namespace(*, others: int = 0) -> None:
    """Unshare a user namespace (and `others`) where this user is root, which needs no right on most machines."""
    uid, gid = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER | others)
    # The kernel allows an unprivileged gid_map only after setgroups is given up (user_namespaces(7)).
    for name, content in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # noqa: PTH123 - pathlib is memory here
            file.write(content)


def unshare_mounts() -> None:
    """Move into a mount namespace of this process's own, from which nothing gets out."""
    try:
        unshare(CLONE_NEWNS)
    except PermissionError:  # root without CAP_SYS_ADMIN, as in a container
        become_root_of_new_user_namespace(others=CLONE_NEWNS)
    _check(_libc.mount(None, b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None))


def bind_mount(source: int, point: int) -> None:
    """Show what one descriptor stands for at the place of another."""
    flags = ctypes.c_ulong(_MS_BIND | _MS_REC)
    _check(_libc.mount(_path_of(source), _path_of(point), None, flags, None))


def remount_read_only(root: int) -> None:
    """Make a mount read-only, by a descriptor of its root."""
    present = os.statvfs(root).f_flag
    kept = present & _KEPT_FLAGS | (_MS_RELATIME if present & _ST_RELATIME else 0)
    flags = ctypes.c_ulong(_MS_REMOUNT | _MS_BIND | _MS_RDONLY | kept)
    _check(_libc.mount(None, _path_of(root), None, flags, None))


def _path_of(descriptor: int) -> bytes:
    return b"/proc/self/fd/%d" % descriptor


def open_own(name: str) -> int:
    """A descriptor of a namespace of this process (`net`, `user`, …)."""
    return os.open(f"/proc/self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)


def join_process(pid: int, kinds: Sequence[tuple[str, int]] = JOINED) -> None:
    """Enter the namespaces of another process; the pid namespace holds for children forked from here."""
    opened = [(os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC), kind) for name, kind in kinds]
    for descriptor, kind in opened:
        setns(descriptor, kind)
        os.close(descriptor)


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
