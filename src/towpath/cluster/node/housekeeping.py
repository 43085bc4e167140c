"""What an agent may find of an earlier one on disk and in memory, and the names by which it finds its own again.

Volumes in memory end with their agent. If it is killed they stay, with secrets in them, but nobody holds their lock any
more: each agent that starts removes those of its user.
"""

import contextlib
import fcntl
import os
import re
import stat
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from towpath.cluster.node.image.layers import remove_tree
from towpath.cluster.node.pod.place import log_directory
from towpath.kube.objects import Object, uid_of
from towpath.oci.digest import Digest

MEMORY_FILE_SYSTEM = Path("/dev/shm")  # noqa: S108 - a tmpfs; what is made there is private
LOCK = "lock"
# Together a fifth of a second: many times what a look takes.
CLAIM_ATTEMPTS, CLAIM_PAUSE_SECONDS = 5, 0.05
_MACHINE_NAME = re.compile("towpath-[0-9a-f]{12}")


def machine_name(data: Path) -> str:
    """A name for what the agent makes outside of its data directory; the same for the same directory."""
    return f"towpath-{Digest.of(str(data.resolve()).encode()).hex[:12]}"


@dataclass(frozen=True, slots=True)
class MemoryDirectory:
    """A private directory on a tmpfs, for secrets and volumes in memory; ours until `release`, or our end."""

    path: Path
    lock: int

    def release(self) -> None:
        """Remove it with what is in it."""
        remove_tree(self.path)
        os.close(self.lock)


def claim_memory_directory(data: Path, file_system: Path = MEMORY_FILE_SYSTEM) -> MemoryDirectory | None:
    """This agent's directory on a tmpfs; None where there is none, or someone else has it."""
    directory = file_system / machine_name(data)
    for attempt in range(CLAIM_ATTEMPTS):
        if attempt:
            time.sleep(CLAIM_PAUSE_SECONDS)  # another agent looks whether it is abandoned
        with contextlib.suppress(OSError):
            directory.mkdir(mode=0o700, exist_ok=True)
            if not _is_private(directory):
                return None  # someone else was first in a directory that everyone may write to
            lock = _lock(directory / LOCK, os.O_CREAT)
            if lock is not None:
                return MemoryDirectory(directory, lock)
    return None


def remove_abandoned(file_system: Path = MEMORY_FILE_SYSTEM) -> list[Path]:
    """Remove the directories of this user's agents that have ended without doing it; those removed."""
    removed = []
    with contextlib.suppress(OSError):
        for directory in [path for path in file_system.iterdir() if _MACHINE_NAME.fullmatch(path.name)]:
            with contextlib.suppress(OSError):
                lock = _lock(directory / LOCK) if _is_private(directory) else None
                if lock is not None:
                    remove_tree(directory)
                    os.close(lock)
                    removed.append(directory)
    return removed


def _is_private(directory: Path) -> bool:
    found = directory.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _lock(path: Path, flags: int = 0) -> int | None:
    """Lock a file; None if someone holds it. Raises OSError, FileNotFoundError among them."""
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.lstat()):  # it may have been removed and made anew meanwhile
            return descriptor
    except BlockingIOError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def remove_leftovers(data: Path, memory: Path | None, pods: Iterable[Object]) -> None:
    """Remove directories and logs of pods that no longer exist."""
    pods = list(pods)
    uids = {uid_of(pod) for pod in pods}
    names = {log_directory(Path(), pod).name for pod in pods}
    for directory, kept in ((data / "pods", uids), (memory, {LOCK, *uids}), (data / "logs", names)):
        if directory is not None and directory.exists():
            for path in directory.iterdir():
                if path.name not in kept:
                    remove_tree(path)
