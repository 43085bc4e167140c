"""What an agent may find of an earlier one on disk, and the names by which it finds its own again."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

from towpath.cluster.node.image.layers import remove_tree
from towpath.cluster.node.pod.place import log_directory
from towpath.kube.objects import Object, uid_of
from towpath.oci.digest import Digest

MEMORY_FILE_SYSTEM = Path("/dev/shm")  # noqa: S108 - a tmpfs; what is made there is private


def machine_name(data: Path) -> str:
    """A name for what the agent makes outside of its data directory; the same for the same directory."""
    return f"towpath-{Digest.of(str(data.resolve()).encode()).hex[:12]}"


def find_memory_directory(data: Path) -> Path | None:
    """A private directory on a tmpfs, for secrets and volumes in memory; None where there is none."""
    directory = MEMORY_FILE_SYSTEM / machine_name(data)
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        if directory.is_symlink() or directory.stat().st_uid != Path("/proc/self").stat().st_uid:
            return None  # someone else was first in a directory that everyone may write to
        with tempfile.TemporaryFile(dir=directory):
            return directory
    except OSError:
        return None


def remove_leftovers(data: Path, memory: Path | None, pods: Iterable[Object]) -> None:
    """Remove directories and logs of pods that no longer exist."""
    pods = list(pods)
    uids = {uid_of(pod) for pod in pods}
    names = {log_directory(Path(), pod).name for pod in pods}
    for directory, kept in ((data / "pods", uids), (memory, uids), (data / "logs", names)):
        if directory is not None and directory.exists():
            for path in directory.iterdir():
                if path.name not in kept:
                    remove_tree(path)
