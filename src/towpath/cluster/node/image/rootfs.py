"""From layers to the directories a sandbox stacks.

Plain layers are given to overlayfs as they are. Layers that hide something of those below, or that are too many for one
mount, are merged once into `rootfs/<identity of the chain>` out of hard links; overlayfs never writes to them. Without
overlayfs each container gets a copy of its own (`copy_root`): of hard links if it may not write to it, else of files,
which share their blocks where the file system can do that. Blocking code.
"""

import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

from towpath.cluster.node.image.layers import Layer, remove_tree

# The options of one mount must fit a page of 4096 bytes; a layer's path may take some 200 of them.
MOST_OVERLAY_LAYERS = 12
_TEMPORARY_PREFIX = "merge-"
# ioctl_ficlone(2): a copy that shares its blocks until one of them is written to.
FICLONE = 0x40049409
COPY_BYTES = 1 << 20


class Rootfs:
    """Merged root file systems, under one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        for path in directory.glob(f"{_TEMPORARY_PREFIX}*"):
            remove_tree(path)

    def prepare(self, layers: Sequence[Layer]) -> list[Path]:
        """The directories to stack for an image, lowest first. Raises OSError."""
        if len(layers) <= MOST_OVERLAY_LAYERS and not any(layer.hides for layer in layers):
            return [layer.root for layer in layers]
        merged = self._directory / chain_id(layers)
        if not merged.exists():
            working = Path(tempfile.mkdtemp(dir=self._directory, prefix=_TEMPORARY_PREFIX))
            try:
                merge(layers, working / "root", link=True)
                (working / "root").rename(merged)
            finally:
                remove_tree(working)
        return [merged]

    def prune(self, keep: Collection[str]) -> None:
        """Remove merged directories whose chain is not kept."""
        for path in self._directory.iterdir():
            if path.name not in keep:
                remove_tree(path)


def chain_id(layers: Sequence[Layer]) -> str:
    """The identity of a sequence of layers, as hexadecimal text."""
    return hashlib.sha256(" ".join(str(layer.diff_id) for layer in layers).encode()).hexdigest()


def copy_root(layers: Sequence[Layer], target: Path, *, writable: bool) -> None:
    """Make `target` one container's root file system; directories are its own in any case. Raises OSError."""
    merge(layers, target, link=not writable)


def merge(layers: Sequence[Layer], target: Path, *, link: bool) -> None:
    """Lay layers over each other into `target`, whiteouts applied. Raises OSError.

    Args:
        layers: lowest first.
        target: made here.
        link: hard links instead of copies; the result must then never be written to.
    """
    target.mkdir(parents=True)
    for layer in layers:
        for path in layer.opaque:
            _empty(target, path)
        for path in layer.whiteouts:
            _hide(target, path)
        _lay(layer.root, target, link=link)


def _lay(source: Path, target: Path, *, link: bool) -> None:
    for entry in os.scandir(source):
        place = target / entry.name
        if entry.is_dir(follow_symlinks=False):
            if place.is_symlink() or not place.is_dir():
                _remove(place)
                place.mkdir(mode=0o700)
            _lay(Path(entry.path), place, link=link)
            shutil.copystat(entry.path, place)
            continue
        _remove(place)
        if link and _link(Path(entry.path), place):
            continue
        if entry.is_symlink():
            place.symlink_to(Path(entry.path).readlink())
        elif entry.is_file(follow_symlinks=False):
            _copy(Path(entry.path), place)


def _link(source: Path, place: Path) -> bool:
    """Whether a hard link could be made: not across file systems, and not past a file's most links."""
    try:
        os.link(source, place, follow_symlinks=False)
    except OSError as error:
        if error.errno in {errno.EXDEV, errno.EMLINK}:
            return False
        raise
    return True


def _copy(source: Path, place: Path) -> None:
    with source.open("rb") as original, place.open("wb") as copy:
        try:
            fcntl.ioctl(copy.fileno(), FICLONE, original.fileno())
        except OSError:  # most file systems cannot share blocks
            shutil.copyfileobj(original, copy, COPY_BYTES)
    shutil.copystat(source, place)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    else:
        path.unlink(missing_ok=True)


def _empty(target: Path, path: str) -> None:
    directory = target / path
    if _has_real_parents(target, path) and directory.is_dir() and not directory.is_symlink():
        for entry in list(os.scandir(directory)):
            _remove(Path(entry.path))


def _hide(target: Path, path: str) -> None:
    if _has_real_parents(target, path):
        _remove(target / path)


def _has_real_parents(target: Path, path: str) -> bool:
    """Whether the way to `path` leads through directories only: a link could lead out of the root and delete there."""
    parents = [target / parent for parent in Path(path).parents]
    return all(parent.is_dir() and (parent == target or not parent.is_symlink()) for parent in parents)
